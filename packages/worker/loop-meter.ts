import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { CounterRow } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { TICK_MS } from './clock.ts'

/** Ten seconds: below the usual scrape interval of 15 s, together with the window before above it. */
const TICKS_PER_WINDOW = 10_000 / TICK_MS
/** A timer of 20 ms notices what delays a relay, and 50 wake-ups a second cost about 0.1 % of a core. */
const RESOLUTION_MS = 20
const MILLIONTHS = 1e6

const UTILIZATION = slot('worker_event_loop_utilization')
const DELAY = slot('worker_event_loop_delay_seconds')

/** How busy this thread's event loop is, and how long sockets have to wait for it. */
export class LoopMeter {
  readonly #counters: CounterRow
  readonly #delays: ReturnType<typeof monitorEventLoopDelay>
  #ticks: number
  #since: ReturnType<typeof performance.eventLoopUtilization>
  /** Longest of the window before, in seconds. */
  #lastWorst: number

  constructor(counters: CounterRow) {
    this.#counters = counters
    this.#delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    this.#delays.enable()
    this.#ticks = 0
    this.#since = performance.eventLoopUtilization()
    this.#lastWorst = 0
  }

  tick(): void {
    // What is measured is the time between two firings of the timer.
    const worst = Math.max(0, this.#delays.max / 1e9 - RESOLUTION_MS / 1000)
    this.#counters.set(DELAY, Math.round(Math.max(worst, this.#lastWorst) * MILLIONTHS))
    this.#ticks += 1
    if (this.#ticks < TICKS_PER_WINDOW) return
    this.#ticks = 0
    this.#lastWorst = worst
    this.#delays.reset()
    const { utilization } = performance.eventLoopUtilization(this.#since)
    this.#since = performance.eventLoopUtilization()
    this.#counters.set(UTILIZATION, Math.round(utilization * MILLIONTHS))
  }

  stop(): void {
    this.#delays.disable()
  }
}
