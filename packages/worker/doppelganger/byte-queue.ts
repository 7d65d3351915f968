import type { WriteSlots } from '../socket/write-slots.ts'

/** Bytes that wait, in slots of the thread. Small pieces share a slot; an empty queue holds none. */
export class ByteQueue {
  readonly #slots: WriteSlots
  #pieces: Piece[]
  #length: number

  constructor(slots: WriteSlots) {
    this.#slots = slots
    this.#pieces = []
    this.#length = 0
  }

  get length(): number {
    return this.#length
  }

  /** Copy `bytes` to the end. */
  append(bytes: Buffer): void {
    let from = 0
    const last = this.#pieces.at(-1)
    if (last !== undefined) {
      from = bytes.copy(last.slot, last.end)
      last.end += from
    }
    if (from < bytes.length) {
      const slot = this.#slots.take(bytes.length - from)
      this.#pieces.push({ slot, start: 0, end: bytes.copy(slot, 0, from) })
    }
    this.#length += bytes.length
  }

  /** Move the oldest `bytes` bytes to `target`. There are that many. */
  take(bytes: number, target: Buffer, offset: number): void {
    let at = offset
    const end = offset + bytes
    while (at < end) {
      const piece = this.#pieces[0]!
      const n = Math.min(end - at, piece.end - piece.start)
      piece.slot.copy(target, at, piece.start, piece.start + n)
      at += n
      piece.start += n
      if (piece.start === piece.end) this.#slots.giveBack(this.#pieces.shift()!.slot)
    }
    this.#length -= bytes
  }

  /** Drop everything; returns how many bytes that were. */
  clear(): number {
    const dropped = this.#length
    for (const { slot } of this.#pieces) this.#slots.giveBack(slot)
    this.#pieces = []
    this.#length = 0
    return dropped
  }
}

interface Piece {
  readonly slot: Buffer
  start: number
  end: number
}
