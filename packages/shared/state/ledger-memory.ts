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

/** The primary's view of it, renewed whenever it grows. */
export class LedgerView {
  readonly threads: number
  readonly #buffer: SharedArrayBuffer
  #cells: Int32Array
  #numbers: BigInt64Array

  constructor({ buffer, threads }: LedgerMemory) {
    this.threads = threads
    this.#buffer = buffer
    this.#cells = new Int32Array(0)
    this.#numbers = new BigInt64Array(0)
    this.commit(INITIAL_USERS)
  }

  get cells(): Int32Array {
    return this.#cells
  }

  /** The same memory. */
  get numbers(): BigInt64Array {
    return this.#numbers
  }

  /** Make room for so many users. */
  commit(users: number): void {
    const committed = committedUsers(this.#buffer, this.threads)
    if (users > committed)
      this.#buffer.grow(ledgerBytes(this.threads, Math.min(MAX_USERS, Math.max(users, 2 * committed))))
    else if (this.#cells.length > 0) return
    // Of a fixed length, see user-rows.ts.
    const cells = userStart(this.threads, committedUsers(this.#buffer, this.threads))
    this.#cells = new Int32Array(this.#buffer, 0, cells)
    this.#numbers = new BigInt64Array(this.#buffer, 0, cells / 2)
  }
}
