import { countNeededDescriptors, readDescriptorLimit } from '#primary/descriptor-limit'

import type { Check } from './check.ts'

/** @param limit of open files; Infinity where the system does not tell */
export function checkDescriptorLimit(concurrency: number, limit: number = readDescriptorLimit()): Check {
  return {
    id: 'descriptor-limit',
    title: 'Descriptor limit',
    timeoutMs: 1000,
    run: async () => {
      const needed = countNeededDescriptors(concurrency)
      const found = Number.isFinite(limit) ? `${limit} open files are allowed here` : 'the limit is not known'
      const text = `${found}, ${needed} are needed for concurrency ${concurrency}`
      if (limit >= needed) return { lines: [{ mark: 'ok', text }], advice: [] }
      return {
        lines: [{ mark: 'warn', text }],
        advice: [
          `raise it where the service is started (LimitNOFILE=${needed} for systemd, ulimit -n ${needed} in a shell) ` +
            'or lower concurrency; the limit of this shell may be another than that of the service',
        ],
      }
    },
  }
}
