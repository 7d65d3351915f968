import { type ConfigProblem, formatConfigProblem } from '#shared/errors'

import type { Check } from './check.ts'
import { isDeprecatedPath } from './deprecated-options.ts'

/** What `run` would warn about at its start: unknown keys, keys without effect, values that were raised. */
export function checkConfigWarnings(warnings: readonly ConfigProblem[]): Check {
  return {
    id: 'config-warnings',
    title: 'Configuration',
    timeoutMs: 1000,
    run: async () => {
      const others = warnings.filter((warning) => !isDeprecatedPath(warning.path))
      if (others.length === 0) return { lines: [{ mark: 'ok', text: 'All good' }], advice: [] }
      return {
        lines: others.map((warning) => ({ mark: 'warn', text: formatConfigProblem(warning) })),
        // Each says itself what to do.
        advice: [],
      }
    },
  }
}
