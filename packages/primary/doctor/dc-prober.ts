import { Piscina } from 'piscina'

import type { DcProbeResult, DcProbeTask } from '#shared/dc-probe'

/** All data centres, directly and through a handful of proxies: probes only wait, so one thread serves them all. */
const MAX_PROBES = 256

export interface DcProber {
  probe(task: DcProbeTask): Promise<DcProbeResult>
  close(): Promise<void>
}

/** Probes run in a worker thread, with the data plane's own code. The thread starts with the first one. */
export function createDcProber(): DcProber {
  const piscina = new Piscina({
    filename: import.meta.resolve('#worker/tasks/probe-dc'),
    minThreads: 0,
    maxThreads: 1,
    concurrentTasksPerWorker: MAX_PROBES,
    // With 'sync' a thread sleeps while its tasks wait for their sockets.
    atomics: 'disabled',
  })
  return {
    probe: (task) => piscina.run(task),
    close: () => piscina.destroy(),
  }
}
