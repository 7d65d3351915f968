import { generatePublicValue } from './public-value.ts'

/** 16 KiB of them: enough for a thread that is asked for all it can do for a tenth of a second. */
export const MAX_PUBLIC_VALUES = 512
/** Values made between two looks at the clock: 0.8 ms of work, nothing that is relayed waits for longer. */
export const VALUES_PER_TICK = 32
/** With so many handshakes in a tick the thread has something better to do: about an eighth of its time goes there. */
export const BUSY_TAKES_PER_TICK = 100

/**
 * Public values made ahead, while the thread is not busy: one costs as much as a tenth of a whole handshake. None is
 * given out twice; when they run short, one is made while its client waits.
 */
export class PublicValues {
  readonly #made: Buffer[]
  #takes: number

  constructor() {
    this.#made = []
    this.#takes = 0
  }

  /** How many are ready. */
  get size(): number {
    return this.#made.length
  }

  /** A value that nobody else gets, 32 bytes. */
  take(): Buffer {
    this.#takes += 1
    return this.#made.pop() ?? generatePublicValue()
  }

  /** To be called by the thread's tick: make some if there is time for it. */
  tick(): void {
    const isBusy = this.#takes >= BUSY_TAKES_PER_TICK
    this.#takes = 0
    if (isBusy) return
    const size = Math.min(MAX_PUBLIC_VALUES, this.#made.length + VALUES_PER_TICK)
    while (this.#made.length < size) this.#made.push(generatePublicValue())
  }
}
