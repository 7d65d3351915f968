/** Timers of Node have no finer step; what is due between two of them leaves together. */
const GRID_MS = 1

/** Something that has bytes to send at a certain time. */
export interface Paced {
  /** When it wants to be served next, in the timer's time. */
  readonly deadlineMs: number
  /** Send what is due. It removes itself from the timer when nothing is left to wait for. */
  release(nowMs: number): void
}

/** One timer for all connections of a thread that hold bytes back. While there are none it does not run. */
export class PaceTimer {
  readonly #active: Set<Paced>
  #timer: NodeJS.Timeout | null
  #firesAtMs: number

  constructor() {
    this.#active = new Set()
    this.#timer = null
    this.#firesAtMs = Infinity
  }

  /** Milliseconds with a fraction, of no particular epoch. */
  nowMs(): number {
    return performance.now()
  }

  add(paced: Paced): void {
    this.#active.add(paced)
    if (paced.deadlineMs < this.#firesAtMs) this.#arm(paced.deadlineMs)
  }

  delete(paced: Paced): void {
    if (!this.#active.delete(paced) || this.#active.size > 0) return
    this.#disarm()
  }

  get isRunning(): boolean {
    return this.#timer !== null
  }

  #serve(): void {
    this.#timer = null
    this.#firesAtMs = Infinity
    const nowMs = this.nowMs()
    let next = Infinity
    // A set may lose the member that is being visited.
    for (const paced of this.#active) {
      if (paced.deadlineMs <= nowMs) paced.release(nowMs)
      if (this.#active.has(paced) && paced.deadlineMs < next) next = paced.deadlineMs
    }
    if (next < this.#firesAtMs) this.#arm(next)
  }

  #arm(deadlineMs: number): void {
    this.#disarm()
    this.#firesAtMs = deadlineMs
    // Node cuts the fraction off; a timer that fires before the deadline would have to be set again.
    const waitMs = Math.max(GRID_MS, Math.ceil(deadlineMs - this.nowMs()))
    this.#timer = setTimeout(() => this.#serve(), waitMs)
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#firesAtMs = Infinity
  }
}
