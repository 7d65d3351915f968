// hot: one slot per write
/**
 * Most reads fall into one of these sizes, which leave room for the headers of records: 17 KiB are one full record. A slow
 * peer pins no more than four times what it was sent.
 */
const SLOT_SIZES = [272, 1088, 4352, 17 * 1024, 66 * 1024, 130 * 1024, 258 * 1024] as const
/** Free slots kept per size; more is garbage, so that a burst's memory is given back. */
const MAX_FREE_SLOTS = 64

/** Buffers to write from, given back when the kernel has taken their bytes; of one thread. */
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

  /** The slot, or a smaller one in its place if its first `bytes` bytes, which are all that counts, would take it too. */
  fit(slot: Buffer, bytes: number): Buffer {
    if (4 * bytes > slot.length || slot.length === SLOT_SIZES[0]) return slot
    const smaller = this.take(bytes)
    slot.copy(smaller, 0, 0, bytes)
    this.giveBack(slot)
    return smaller
  }

  /** Nobody uses it any more. Memory of any other size is left to the collector. */
  giveBack(slot: Buffer): void {
    for (let i = 0; i < SLOT_SIZES.length; i++) {
      if (slot.length !== SLOT_SIZES[i]) continue
      if (this.#free[i]!.length < MAX_FREE_SLOTS) this.#free[i]!.push(slot)
      return
    }
  }
}
