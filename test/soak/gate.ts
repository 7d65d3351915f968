/** Acts pass one by one while it is open; who closes it can wait until nobody is on the way. */
export class Gate {
  #inside: number
  #opened: PromiseWithResolvers<void> | null
  #emptied: PromiseWithResolvers<void> | null

  constructor() {
    this.#inside = 0
    this.#opened = null
    this.#emptied = null
  }

  async pass(act: () => Promise<void>): Promise<void> {
    await this.untilOpen()
    this.#inside += 1
    try {
      await act()
    } finally {
      this.#inside -= 1
      if (this.#inside === 0) this.#emptied?.resolve()
    }
  }

  async untilOpen(): Promise<void> {
    while (this.#opened !== null) await this.#opened.promise
  }

  /** Resolves when everybody who was inside has left. */
  async close(): Promise<void> {
    this.#opened = Promise.withResolvers()
    if (this.#inside === 0) return
    this.#emptied = Promise.withResolvers()
    await this.#emptied.promise
    this.#emptied = null
  }

  open(): void {
    this.#opened?.resolve()
    this.#opened = null
  }
}
