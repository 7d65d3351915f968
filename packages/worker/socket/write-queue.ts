// hot: one push and one shift per write
const INITIAL_WRITES = 4

/**
 * Writes that the kernel has not taken yet, oldest first: the slot each one sends from, if any, and the payload in it.
 * A ring, so that a socket that is never quite empty takes no more memory than its longest backlog.
 */
export class WriteQueue {
  #slots: (Buffer | null)[]
  #payloadBytes: number[]
  #oldest: number
  #length: number

  constructor() {
    this.#slots = []
    this.#payloadBytes = []
    this.#oldest = 0
    this.#length = 0
  }

  get length(): number {
    return this.#length
  }

  push(slot: Buffer | null, payloadBytes: number): void {
    if (this.#length === this.#slots.length) this.#grow()
    const at = (this.#oldest + this.#length) % this.#slots.length
    this.#slots[at] = slot
    this.#payloadBytes[at] = payloadBytes
    this.#length += 1
  }

  /** Payload of the oldest write, bytes; 0 when there is none. */
  get oldestPayloadBytes(): number {
    return this.#length === 0 ? 0 : this.#payloadBytes[this.#oldest]!
  }

  /** Take the oldest write out; returns its slot. */
  shift(): Buffer | null {
    if (this.#length === 0) return null
    const slot = this.#slots[this.#oldest]!
    this.#slots[this.#oldest] = null
    this.#oldest = (this.#oldest + 1) % this.#slots.length
    this.#length -= 1
    return slot
  }

  #grow(): void {
    const slots: (Buffer | null)[] = []
    const payloadBytes: number[] = []
    for (let nth = 0; nth < this.#length; nth++) {
      const at = (this.#oldest + nth) % this.#length // full: as long as the ring
      slots.push(this.#slots[at]!)
      payloadBytes.push(this.#payloadBytes[at]!)
    }
    const size = Math.max(INITIAL_WRITES, 2 * this.#length)
    while (slots.length < size) {
      slots.push(null)
      payloadBytes.push(0)
    }
    this.#slots = slots
    this.#payloadBytes = payloadBytes
    this.#oldest = 0
  }
}
