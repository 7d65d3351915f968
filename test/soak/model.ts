/** A number that is known exactly, or within bounds where a thread's death or a reset leaves room. */
export interface Interval {
  low: number
  high: number
}

interface Recent {
  readonly atMs: number
  readonly name: string
  readonly amount: number
}

/** What happened lately enough to be lost with a thread is remembered for so long. */
const RECENT_MS = 5000

/**
 * What every counter of the program has to say, added up from what clients and servers have seen. Counters of threads are
 * published four times a second (decision O10), so what was counted just before a death may be missing.
 */
export class Model {
  readonly #intervals: Map<string, Interval>
  #recent: Recent[]
  #isDying: boolean

  constructor() {
    this.#intervals = new Map()
    this.#recent = []
    this.#isDying = false
  }

  /** It happened, and a thread counted it. */
  count(name: string, amount = 1): void {
    const interval = this.of(name)
    interval.high += amount
    if (this.#isDying) return
    interval.low += amount
    const nowMs = performance.now()
    this.#recent.push({ atMs: nowMs, name, amount })
    if (this.#recent.length % 1000 === 0)
      this.#recent = this.#recent.filter(({ atMs }) => nowMs - atMs < RECENT_MS)
  }

  /** At least `low` and at most `high` of them have been counted. */
  book(name: string, low: number, high: number): void {
    const interval = this.of(name)
    interval.low += low
    interval.high += high
  }

  /** A thread is about to die: what was counted since then may be lost, and what comes until `threadLives` too. */
  threadDies(sinceMs: number): void {
    for (const { atMs, name, amount } of this.#recent) if (atMs >= sinceMs) this.of(name).low -= amount
    this.#recent = []
    this.#isDying = true
  }

  threadLives(): void {
    this.#isDying = false
  }

  of(name: string): Interval {
    let interval = this.#intervals.get(name)
    if (interval === undefined) this.#intervals.set(name, (interval = { low: 0, high: 0 }))
    return interval
  }
}
