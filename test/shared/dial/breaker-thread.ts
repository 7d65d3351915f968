/** A worker thread at a breaker that others use too: it fails, or makes trials and fails them. */
import { parentPort, workerData } from 'node:worker_threads'

import { CircuitBreaker, type BreakerLimits } from '#shared/dial/circuit-breaker'

interface Data {
  readonly memory: SharedArrayBuffer
  /** Trials now, the most at once, all of them; null: only fail. */
  readonly tally: SharedArrayBuffer | null
  readonly limits: BreakerLimits
  readonly rounds: number
}

const { memory, tally, limits, rounds } = workerData as Data // what the test passes
const breaker = new CircuitBreaker(new BigInt64Array(memory), 0, limits)

if (tally === null) for (let round = 0; round < rounds; round++) breaker.tryEnter(1)?.fail(1)
else makeTrials(new Int32Array(tally))
parentPort?.postMessage('done')

/** Time stands still but for the trials: each begins the open time anew, and the next one comes when that is over. */
function makeTrials(counts: Int32Array): void {
  for (let n = 0; n < limits.openThreshold; n++) breaker.tryEnter(0)?.fail(0)
  for (let done = 0; done < rounds;) {
    // All threads knock at the time at which the breaker lets one through.
    const { state, retryInMs } = breaker.read(0)
    if (state !== 'open') continue
    const permit = breaker.tryEnter(retryInMs)
    if (permit === null) continue
    const now = Atomics.add(counts, 0, 1) + 1
    if (now > Atomics.load(counts, 1)) Atomics.store(counts, 1, now)
    Atomics.add(counts, 2, 1)
    done += 1
    Atomics.sub(counts, 0, 1)
    permit.fail(retryInMs)
  }
}
