/** A worker thread that adds hellos of its own making, numbered, without pause; or counts which of them are known. */
import { parentPort, workerData } from 'node:worker_threads'

import { ReplaySet, type ReplayMemory } from '#shared/state/replay-set'

import { numberedRandom } from './numbered-random.ts'

interface Data {
  readonly memory: ReplayMemory
  readonly thread: number
  readonly family: number
  readonly turns: number
  /** Hellos added so far. */
  readonly progress: SharedArrayBuffer
}

const { memory, thread, family, turns, progress } = workerData as Data // what the test passes
const set = new ReplaySet(memory, thread)
const added = new Int32Array(progress)
const random = new Uint8Array(32)
let replays = 0

for (let turn = 0; turn < turns; turn++) {
  if (set.testAndAdd(numberedRandom(random, family, turn), 1000, 0) === 'replay') replays++
  Atomics.store(added, 0, turn + 1)
}
parentPort?.postMessage(replays)
