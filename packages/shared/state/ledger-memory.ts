/** The memory of the user ledger: how much there is of it, and how it grows with the users. */
import { committedUsers, FAIR, ledgerBytes, LIMIT, NO_LIMIT, userStart } from './ledger-layout.ts'

/** Reserves 40 + 40 × threads bytes of address space a user (68 MB at 16 threads); only users that exist cost memory. */
export const MAX_USERS = 100_000
/** Users to begin with; doubled whenever they do not suffice. */
const INITIAL_USERS = 64

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface LedgerMemory {
  /** Growable. */
  readonly buffer: SharedArrayBuffer
  readonly threads: number
}

/** Memory for `threads` worker threads. */
export function createLedgerMemory(threads: number): LedgerMemory {
  const buffer = new SharedArrayBuffer(ledgerBytes(threads, INITIAL_USERS), {
    maxByteLength: ledgerBytes(threads, MAX_USERS),
  })
  const cells = new Int32Array(buffer)
  cells[LIMIT] = NO_LIMIT
  cells[FAIR] = NO_LIMIT
  return { buffer, threads }
}

/**
 * What one thread sees of it. Views of a fixed length, made anew when the memory has grown: on views that follow the
 * growth by themselves every access costs four times as much.
 */
export class LedgerView {
  readonly threads: number
  readonly #buffer: SharedArrayBuffer
  #users: number
  #cells: Int32Array
  #numbers: BigInt64Array

  constructor({ buffer, threads }: LedgerMemory) {
    this.threads = threads
    this.#buffer = buffer
    this.#users = 0
    this.#cells = new Int32Array(0)
    this.#numbers = new BigInt64Array(0)
    this.follow()
  }

  /** As far as was seen when somebody looked last. */
  get cells(): Int32Array {
    return this.#cells
  }

  /** The same memory. */
  get numbers(): BigInt64Array {
    return this.#numbers
  }

  /** Hot. Whether there is memory for the user of this slot. */
  covers(slot: number): boolean {
    if (slot >= this.#users) this.follow()
    return slot >= 0 && slot < this.#users
  }

  /** See all that there is now. */
  follow(): void {
    const users = committedUsers(this.#buffer, this.threads)
    if (users === this.#users) return
    this.#users = users
    const cells = userStart(this.threads, users)
    this.#cells = new Int32Array(this.#buffer, 0, cells)
    this.#numbers = new BigInt64Array(this.#buffer, 0, cells / 2)
  }

  /** The primary alone: make room for so many users. */
  commit(users: number): void {
    if (users > this.#users)
      this.#buffer.grow(ledgerBytes(this.threads, Math.min(MAX_USERS, Math.max(users, 2 * this.#users))))
    this.follow()
  }
}
