import type { Logger } from 'pino'
import { formatConfigWarning } from '#primary/config/warning'
import type { ServedConfig } from './serve.ts'

/** Each thing that is odd in a configuration that is taken up, at the start and at every reload. */
export function logConfigWarnings({ path: file, warnings }: ServedConfig, log: Pick<Logger, 'warn'>): void {
  for (const warning of warnings)
    log.warn(
      { file, path: warning.path },
      warning.message ?? `configuration: ${formatConfigWarning(warning)}`,
    )
}
