/**
 * Takes the replay set over to another process: entries as they come, each as 32 bytes of random and 4 bytes of expiry
 * (seconds of the machine's uptime, little endian). No lock is needed to read: an entry is whole before the head goes
 * past it, and does not change before the tail has.
 */
import {
  ENTRY_CELLS,
  ENTRY_EXPIRES,
  entriesStart,
  HEAD,
  numberRange,
  RANDOM_BYTES,
  RANDOM_WORDS,
  TAIL,
} from './replay-layout.ts'
import type { ReplayMemory, ReplaySet } from './replay-set.ts'

export const TRANSFER_ENTRY_BYTES: number = RANDOM_BYTES + Uint32Array.BYTES_PER_ELEMENT

/** Reads what comes into the set, from the oldest entry on. */
export class ReplayReader {
  readonly #cells: Int32Array
  readonly #capacity: number
  readonly #range: number
  /** Number of the next entry to read; null before the first. */
  #next: number | null

  constructor(memory: ReplayMemory) {
    this.#cells = new Int32Array(memory.buffer)
    this.#capacity = memory.capacity
    this.#range = numberRange(memory.capacity)
    this.#next = null
  }

  /** What is there now is known at the other end. */
  skip(): void {
    this.#next = Atomics.load(this.#cells, HEAD)
  }

  /** What has come since the last call and still lives, `maxEntries` at most; null when there is nothing new. */
  read(nowSeconds: number, maxEntries: number): Uint8Array | null {
    const head = Atomics.load(this.#cells, HEAD)
    const tail = Atomics.load(this.#cells, TAIL)
    let next = this.#next ?? tail
    // What left the set before it was read is of no use to anybody any more.
    if (this.#distance(tail, next) > this.#distance(tail, head)) next = tail
    const count = Math.min(this.#distance(next, head), maxEntries)
    this.#next = (next + count) % this.#range
    if (count === 0) return null
    const bytes = new Uint8Array(count * TRANSFER_ENTRY_BYTES)
    const view = new DataView(bytes.buffer)
    let length = 0
    for (let index = 0; index < count; index++) {
      const entry = this.#entry((next + index) % this.#range)
      const expires = this.#cells[entry + ENTRY_EXPIRES]!
      if (expires <= nowSeconds) continue
      bytes.set(
        new Uint8Array(new Int32Array(this.#cells.subarray(entry, entry + RANDOM_WORDS)).buffer),
        length,
      )
      view.setUint32(length + RANDOM_BYTES, expires, true)
      length += TRANSFER_ENTRY_BYTES
    }
    return bytes.subarray(0, length)
  }

  #entry(number: number): number {
    return entriesStart(this.#capacity) + (number % this.#capacity) * ENTRY_CELLS
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#range
  }
}

/** Add what another process has read. What is known already, has expired, or is no whole entry is left out. */
export function addTransferred(set: ReplaySet, bytes: Uint8Array, nowSeconds: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + TRANSFER_ENTRY_BYTES <= bytes.length; at += TRANSFER_ENTRY_BYTES) {
    const lifeSeconds = view.getUint32(at + RANDOM_BYTES, true) - nowSeconds
    if (lifeSeconds > 0) set.testAndAdd(bytes.subarray(at, at + RANDOM_BYTES), lifeSeconds, nowSeconds)
  }
}
