/** A worker thread that observes 0.2 s again and again. */
import { parentPort, workerData } from 'node:worker_threads'

import { histogram, HistogramRow, type HistogramMemory } from '#shared/state/histogram'

interface Data {
  readonly memory: HistogramMemory
  readonly row: number
  readonly turns: number
}

const data = workerData as Data // what the test passes
const row = new HistogramRow(data.memory, data.row)
const series = histogram('dc_dial_seconds', { outcome: 'ok' })
for (let turn = 0; turn < data.turns; turn++) row.observe(series, 0.2)
parentPort?.postMessage('done')
