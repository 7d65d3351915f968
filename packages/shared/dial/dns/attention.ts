/** The part of a connection that `Attention` needs. */
interface Held {
  ref(): unknown
  unref(): unknown
}

/**
 * How many wait for a connection. While nobody does it keeps no thread and no command from ending, and after a while it
 * is closed.
 */
export class Attention {
  readonly #held: Held
  readonly #idleMs: number
  readonly #close: () => void
  #waiting: number
  #timer: NodeJS.Timeout | undefined
  #isRetired: boolean

  constructor(held: Held, idleMs: number, close: () => void) {
    this.#held = held
    this.#idleMs = idleMs
    this.#close = close
    this.#waiting = 0
    this.#isRetired = false
    held.unref()
    // Whoever it was opened for may have left in the meantime.
    this.#timer = setTimeout(close, idleMs).unref()
  }

  begin(): void {
    clearTimeout(this.#timer)
    this.#waiting += 1
    if (this.#waiting === 1) this.#held.ref()
  }

  end(): void {
    this.#waiting -= 1
    if (this.#waiting > 0) return
    this.#held.unref()
    this.#closeWhenIdle()
  }

  /** Nobody will come any more: close it as soon as nobody waits. */
  retire(): void {
    this.#isRetired = true
    if (this.#waiting === 0) this.#closeWhenIdle()
  }

  #closeWhenIdle(): void {
    clearTimeout(this.#timer)
    if (this.#isRetired || this.#idleMs === 0) return this.#close()
    this.#timer = setTimeout(this.#close, this.#idleMs).unref()
  }
}
