/** What one round of the event loop may take on: about two milliseconds of arrivals, or of dials for strangers. */
export const JOBS_PER_ROUND = 8

/**
 * Spreads a burst over rounds of the event loop. Node hands a thread all sockets that were posted to it in one go, and
 * thousands of connections may become due in one tick: without a limit everybody who is served waits for all of them.
 */
export class Rounds {
  readonly #waiting: (() => void)[]
  /** Jobs that this round still takes. */
  #left: number
  #isScheduled: boolean

  constructor() {
    this.#waiting = []
    this.#left = JOBS_PER_ROUND
    this.#isScheduled = false
  }

  /** Do it at once, or behind those that wait. */
  run(job: () => void): void {
    this.#schedule()
    if (this.#left > 0 && this.#waiting.length === 0) {
      this.#left -= 1
      job()
    } else {
      this.#waiting.push(job)
    }
  }

  /** Resolves when it is the caller's turn. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.run(resolve))
  }

  /** Do everything that waits now. */
  flush(): void {
    for (const job of this.#waiting.splice(0)) job()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const due = this.#waiting.splice(0, JOBS_PER_ROUND)
      this.#left = JOBS_PER_ROUND - due.length
      if (due.length > 0) this.#schedule()
      for (const job of due) job()
    })
  }
}
