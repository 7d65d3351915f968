/**
 * What does the replay set cost a handshake? CPU-bound, so the figure is wall time per call: on one thread, and on two
 * that fight for the lock with nothing else to do (a worker spends 300 µs on a handshake, so real threads rarely meet).
 * Run: node bench/micro/replay-set.ts [--json] [--quick]
 */
import { once } from 'node:events'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

import { createReplayMemory, MIN_REPLAY_BYTES, ReplaySet, type ReplayMemory } from '#shared/state/replay-set'
import { IS_QUICK } from '../support/micro.ts'

const CALLS = IS_QUICK ? 4000 : 400_000
const LIFE_SECONDS = 11

interface Figure {
  readonly name: string
  readonly nsPerCall: number
}

/** Calls at `perSecond` hellos a second of the clock that the set is told. */
function measure(name: string, set: ReplaySet, family: number, perSecond: number, offset = 0): Figure {
  const random = new Uint8Array(32)
  const view = new DataView(random.buffer)
  view.setUint32(0, family)
  const startMs = performance.now()
  for (let call = 0; call < CALLS; call++) {
    view.setUint32(4, call + offset)
    set.testAndAdd(random, LIFE_SECONDS, 1000 + call / perSecond)
  }
  return { name, nsPerCall: ((performance.now() - startMs) * 1e6) / CALLS }
}

async function main(): Promise<void> {
  const figures: Figure[] = []
  const memory = createReplayMemory(MIN_REPLAY_BYTES)
  const set = new ReplaySet(memory, 0)
  measure('warm-up', set, 0, 1e9)
  figures.push(
    measure('new, 3,000 a second', set, 1, 3_000),
    measure('new, oldest evicted', set, 2, 1e9),
    measure('replay', set, 2, 1e9),
  )
  const threads = [1, 2].map(
    (thread) => new Worker(new URL(import.meta.url), { workerData: { memory, thread } }),
  )
  const contended = await Promise.all(
    threads.map(async (thread) => (await once(thread, 'message'))[0] as Figure),
  )
  const nsPerCall = contended.reduce((sum, figure) => sum + figure.nsPerCall, 0) / contended.length
  figures.push({ name: 'new, two threads at once', nsPerCall })
  print(figures)
}

function print(figures: readonly Figure[]): void {
  if (process.argv.includes('--json')) return console.log(JSON.stringify({ bench: 'replay-set', figures }))
  for (const { name, nsPerCall } of figures)
    console.log(`${name.padEnd(34)} ${nsPerCall.toFixed(0).padStart(6)} ns`)
}

if (isMainThread) {
  await main()
} else {
  const { memory, thread } = workerData as { memory: ReplayMemory; thread: number } // from main()
  const set = new ReplaySet(memory, thread)
  measure('warm-up', set, 10 + thread, 1e9)
  parentPort?.postMessage(measure('contended', set, 20 + thread, 1e9))
}
