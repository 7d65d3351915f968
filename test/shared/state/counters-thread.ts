/** A worker thread that writes counters without pause. */
import { parentPort, workerData } from 'node:worker_threads'

import { takePlace, CounterRow, leavePlace, type CountersMemory } from '#shared/state/counters'

interface Data {
  readonly memory: CountersMemory
  readonly row: number
  readonly work: 'count' | 'close' | 'front'
  readonly slot: number
  readonly step: number
  readonly limit: number
  readonly turns: number
  /** Fronted connections as the threads themselves count them: now, and the times they were too many. */
  readonly inside: SharedArrayBuffer
}

const data = workerData as Data // what the test passes
const row = new CounterRow(data.memory, data.row)
const inside = new Int32Array(data.inside)

for (let turn = 0; turn < data.turns; turn++) {
  if (data.work === 'count') {
    row.add(data.slot, data.step)
    row.publish()
  } else if (data.work === 'close') {
    row.addClosed()
  } else if (takePlace(data.memory, 'fronting', data.row, data.limit)) {
    if (Atomics.add(inside, 0, 1) >= data.limit) Atomics.add(inside, 1, 1)
    Atomics.add(inside, 2, 1)
    Atomics.sub(inside, 0, 1)
    leavePlace(data.memory, 'fronting', data.row)
  }
}
parentPort?.postMessage('done')
