import { TaskPool } from '#primary/task-pool'
import type { DcProbeResult, DcProbeTask } from '#shared/dc-probe'

export interface DcProber {
  probe(task: DcProbeTask): Promise<DcProbeResult>
  close(): Promise<void>
}

/** Probes run in a thread of their own, with the data plane's own code. It starts with the first one. */
export function createDcProber(): DcProber {
  const tasks = new TaskPool()
  return {
    probe: (task) => tasks.run('probe-dc', task),
    close: () => tasks.close(),
  }
}
