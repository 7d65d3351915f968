import { monotonicMs } from '#shared/monotonic'

/** Coarse enough to cost nothing per chunk, fine enough for limits that are counted in seconds. */
export const TICK_MS = 250

/** One clock per thread for idleness and deadlines, instead of a timer per connection. */
export class Clock {
  /** Wall time of the last tick, Unix ms: for `last_seen`. */
  unixMs: number
  /** Monotonic, the same for all threads of the process: for deadlines and the replay window. */
  monotonicMs: number

  constructor() {
    this.unixMs = 0
    this.monotonicMs = 0
    this.tick()
  }

  tick(): void {
    this.unixMs = Date.now()
    this.monotonicMs = monotonicMs()
  }
}
