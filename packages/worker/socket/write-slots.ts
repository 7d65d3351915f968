/** Hot: buffers to write from, given back when the kernel has taken their bytes. */

/** Most reads fall into one of these sizes; a slow peer pins no more than four times what it was sent. */
const SLOT_SIZES = [256, 1024, 4 * 1024, 16 * 1024, 66 * 1024, 130 * 1024, 258 * 1024] as const
/** Free slots kept per size; more is garbage, so that a burst's memory is given back. */
const MAX_FREE_SLOTS = 64

/** Slots of one thread. */
export class WriteSlots {
  readonly #free: Buffer[][]

  constructor() {
    this.#free = SLOT_SIZES.map(() => [])
  }

  /** A buffer of at least `bytes` bytes; its content is undefined. */
  take(bytes: number): Buffer {
    for (let i = 0; i < SLOT_SIZES.length; i++) {
      if (bytes <= SLOT_SIZES[i]!) return this.#free[i]!.pop() ?? Buffer.allocUnsafeSlow(SLOT_SIZES[i]!)
    }
    return Buffer.allocUnsafeSlow(bytes)
  }

  giveBack(slot: Buffer): void {
    for (let i = 0; i < SLOT_SIZES.length; i++) {
      if (slot.length !== SLOT_SIZES[i]) continue
      if (this.#free[i]!.length < MAX_FREE_SLOTS) this.#free[i]!.push(slot)
      return
    }
  }
}
