/**
 * Takes the replay set over to another process: entries in order of arrival, each as 32 bytes of random and 4 bytes that
 * say until when it is needed (seconds of the machine's uptime, little endian). Those that are not needed any more go
 * along: the set forgets by number, not by age. No lock is needed to read: an entry is whole before the head goes past it.
 * The oldest ones of a full set may be overwritten meanwhile; what is read of them then is no hello of anybody.
 */
import {
  ENTRY_CELLS,
  ENTRY_NEEDED,
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
  /** Number of the next entry to read. */
  #next: number

  /** @param newest of what is there now, only so many entries are read */
  constructor(memory: ReplayMemory, newest: number) {
    this.#cells = new Int32Array(memory.buffer)
    this.#capacity = memory.capacity
    this.#range = numberRange(memory.capacity)
    const head = Atomics.load(this.#cells, HEAD)
    const count = Math.min(newest, this.#distance(Atomics.load(this.#cells, TAIL), head))
    this.#next = (head - count + this.#range) % this.#range
  }

  /** What is there now is known at the other end. */
  skip(): void {
    this.#next = Atomics.load(this.#cells, HEAD)
  }

  /** What has come since the last call, `maxEntries` at most; null when there is nothing new. */
  read(maxEntries: number): Uint8Array | null {
    const head = Atomics.load(this.#cells, HEAD)
    const tail = Atomics.load(this.#cells, TAIL)
    let next = this.#next
    // What left the set before it was read is of no use to anybody any more.
    if (this.#distance(tail, next) > this.#distance(tail, head)) next = tail
    const count = Math.min(this.#distance(next, head), maxEntries)
    this.#next = (next + count) % this.#range
    if (count === 0) return null
    const bytes = new Uint8Array(count * TRANSFER_ENTRY_BYTES)
    const view = new DataView(bytes.buffer)
    for (let index = 0; index < count; index++) {
      const entry = this.#entry((next + index) % this.#range)
      const at = index * TRANSFER_ENTRY_BYTES
      const words = new Int32Array(this.#cells.subarray(entry, entry + RANDOM_WORDS)) // out of the shared memory
      bytes.set(new Uint8Array(words.buffer), at)
      view.setUint32(at + RANDOM_BYTES, this.#cells[entry + ENTRY_NEEDED]!, true)
    }
    return bytes
  }

  #entry(number: number): number {
    return entriesStart(this.#capacity) + (number % this.#capacity) * ENTRY_CELLS
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#range
  }
}

/** Add what another process has read. What is known already, or is no whole entry, is left out. */
export function addTransferred(set: ReplaySet, bytes: Uint8Array, nowSeconds: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at + TRANSFER_ENTRY_BYTES <= bytes.length; at += TRANSFER_ENTRY_BYTES) {
    const windowSeconds = Math.max(0, view.getUint32(at + RANDOM_BYTES, true) - nowSeconds)
    set.testAndAdd(bytes.subarray(at, at + RANDOM_BYTES), windowSeconds, nowSeconds)
  }
}
