/** Lets long computations take turns on a thread that relays: one slice per round of the event loop, first come first served. */
export class Turns {
  readonly #waiting: (() => void)[]

  constructor() {
    this.#waiting = []
  }

  /** Resolves when it is the caller's turn; I/O that is ready is served before. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) this.#schedule()
    })
  }

  #schedule(): void {
    setImmediate(() => {
      this.#waiting.shift()?.()
      if (this.#waiting.length > 0) this.#schedule()
    })
  }
}
