/** A worker thread that raises a plain number under the lock, or dies with the lock in its hands. */
import { parentPort, workerData } from 'node:worker_threads'

import { ThreadLock } from '#shared/state/thread-lock'

interface Data {
  readonly buffer: SharedArrayBuffer
  readonly thread: number
  readonly turns: number
  readonly keep: boolean
}

const { buffer, thread, turns, keep } = workerData as Data // what the test passes
const cells = new Int32Array(buffer)
const lock = new ThreadLock(cells, 0, thread)

for (let turn = 0; turn < turns; turn++) {
  lock.acquire()
  // Read and write far apart, so that two threads inside at once lose a count.
  const before = cells[32] ?? 0
  for (let spin = 0; spin < 20; spin++) cells[33] = spin
  cells[32] = before + 1
  lock.release()
}
if (keep) lock.acquire()
parentPort?.postMessage('done')
