/** A worker thread that looks at an address that failed elsewhere, and reports one that failed here. */
import { parentPort, workerData } from 'node:worker_threads'

import { AddressHealth, type HealthMemory } from '#shared/dial/address-health'

interface Data {
  readonly memory: HealthMemory
  readonly doubted: string
  readonly failed: string
  readonly nowMs: number
}

const data = workerData as Data // what the test passes
const health = new AddressHealth(data.memory)
health.reportFailure(data.failed, data.nowMs)
parentPort?.postMessage({
  doubts: health.isDoubtful(data.doubted),
  claims: health.claimProbe(data.doubted, data.nowMs),
})
