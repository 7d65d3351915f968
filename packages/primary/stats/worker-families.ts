import type { SampledFamily } from './families.ts'

/** What the primary knows of a worker thread. */
export interface WorkerNumbers {
  readonly index: number
  /** Connections. */
  readonly load: number
  readonly restarts: number
  readonly hangs: number
}

/** Families `worker_connections`, `worker_restarts` and `worker_hangs`. */
export function listWorkerFamilies(workers: () => readonly WorkerNumbers[]): readonly SampledFamily[] {
  const family = (
    name: string,
    kind: SampledFamily['kind'],
    help: string,
    read: (worker: WorkerNumbers) => number,
  ): SampledFamily => ({
    name,
    kind,
    help,
    labelNames: ['worker'],
    collect: () =>
      workers().map((worker) => ({ labels: { worker: String(worker.index) }, value: read(worker) })),
  })
  return [
    family(
      'worker_connections',
      'gauge',
      'Connections in the hands of the worker thread, those on their way to it included.',
      ({ load }) => load,
    ),
    family(
      'worker_restarts',
      'counter',
      'How often the worker thread died and was replaced.',
      ({ restarts }) => restarts,
    ),
    family(
      'worker_hangs',
      'counter',
      'How often the worker thread was replaced because it had done nothing for 20 s; part of worker_restarts.',
      ({ hangs }) => hangs,
    ),
  ]
}
