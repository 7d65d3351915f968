import { isIP } from 'node:net'

import { TaskPool } from '#primary/task-pool'
import { DialError } from '#shared/errors'
import type { DcProbeResult, DcProbeTask } from '#shared/dc-probe'

export interface DcProber {
  probe(task: DcProbeTask): Promise<DcProbeResult>
  close(): Promise<void>
}

/**
 * Probes run in a thread of their own, with the data plane's own code. It starts with the first one.
 * @param resolve for SOCKS5 servers that are given by name
 */
export function createDcProber(resolve: (host: string) => Promise<readonly string[]>): DcProber {
  const tasks = new TaskPool()
  return {
    probe: async (task) => {
      const { upstream } = task
      if (upstream === null || isIP(upstream.host) !== 0) return tasks.run('probe-dc', task)
      try {
        const [host = upstream.host] = await resolve(upstream.host)
        return await tasks.run('probe-dc', { ...task, upstream: { ...upstream, host } })
      } catch (error) {
        if (!(error instanceof DialError)) throw error
        return { ok: false, reasons: [error.message] }
      }
    },
    close: () => tasks.close(),
  }
}
