/** The user ledger as a worker thread writes it: admission (decision O14), departure, traffic. */
import { BugError } from '../errors.ts'
import { FairShare } from './fair-share.ts'
import {
  committedUsers,
  LIMIT,
  type Refusal,
  REFUSALS,
  ROW_BYTES_IN,
  ROW_BYTES_OUT,
  ROW_LAST_SEEN,
  ROW_LIVE,
  rowOffset,
  THREAD_LIVE,
  THREAD_SEQUENCE,
  threadStart,
  TOTAL,
  USER_CAP,
  USER_GENERATION,
  USER_LIVE,
  USER_REFUSED,
  USER_VERSION,
  userStart,
} from './ledger-layout.ts'
import type { LedgerMemory } from './user-ledger.ts'

/**
 * `cap`: the user holds as many connections as allowed; `fair-share`: the proxy is full and the user has a fair share
 * already; `unknown-user`: removed meanwhile.
 */
export type Admission = 'admitted' | Refusal | 'unknown-user'

const REFUSED_CELL = Object.fromEntries(
  REFUSALS.map((reason, index) => [reason, USER_REFUSED + index]),
) as Record<Refusal, number> // fromEntries forgets which keys it was given

/**
 * What a user has moved through this thread. The relay adds to it directly. It is read while the user has connections
 * in this thread: whoever adds must do so before `leave`.
 */
export interface UserAccount {
  bytesIn: number
  bytesOut: number
  /** Unix time of the last activity, 0 for never. */
  lastSeenMs: number
}

interface OwnRow {
  readonly slot: number
  readonly account: UserAccount
  readonly published: UserAccount
  /** Connections of the user in this thread. */
  live: number
  /** Position in the list of rows with connections, or -1. */
  activeAt: number
}

/** One per thread; `thread` is a number that no other living thread has. */
export class UserRows {
  readonly #memory: LedgerMemory
  readonly #thread: number
  readonly #threadStart: number
  readonly #rows: (OwnRow | undefined)[]
  readonly #active: OwnRow[]
  readonly #fairShare: FairShare
  // Views of a fixed length, made anew when the memory has grown: on views that follow the growth by themselves every
  // access costs four times as much.
  #cells: Int32Array
  #numbers: BigInt64Array
  #committed: number

  constructor(memory: LedgerMemory, thread: number) {
    if (!Number.isInteger(thread) || thread < 0 || thread >= memory.threads) {
      throw new BugError(`no such thread in the user ledger: ${thread} of ${memory.threads}`)
    }
    this.#memory = memory
    this.#thread = thread
    this.#threadStart = threadStart(thread)
    this.#rows = []
    this.#active = []
    this.#fairShare = new FairShare(memory)
    this.#cells = new Int32Array(0)
    this.#numbers = new BigInt64Array(0)
    this.#committed = 0
  }

  /**
   * Hot. Count one more connection of the user, unless that would exceed the cap or the fair share. Exact over all
   * threads; every `'admitted'` must be followed by one `leave`.
   */
  admit(slot: number, generation: number): Admission {
    if (!this.#covers(slot)) return 'unknown-user'
    const cells = this.#cells
    const user = userStart(this.#memory.threads, slot)
    Atomics.add(cells, this.#threadStart + THREAD_SEQUENCE, 1)
    const admission = this.#reserve(user, generation)
    if (admission === 'admitted') {
      Atomics.add(cells, user + rowOffset(this.#thread) + ROW_LIVE, 1)
      Atomics.add(cells, this.#threadStart + THREAD_LIVE, 1)
    }
    Atomics.add(cells, this.#threadStart + THREAD_SEQUENCE, 1)
    if (admission === 'admitted') this.#activate(this.#row(slot))
    else if (admission !== 'unknown-user') Atomics.add(cells, user + REFUSED_CELL[admission], 1)
    return admission
  }

  #reserve(user: number, generation: number): Admission {
    const cells = this.#cells
    let live: number
    do {
      if (Atomics.load(cells, user + USER_GENERATION) !== generation) return 'unknown-user'
      live = Atomics.load(cells, user + USER_LIVE)
      if (live >= Atomics.load(cells, user + USER_CAP)) return 'cap'
      // Refused before anything is written, so that those who are refused do not take a place from others meanwhile.
      if (this.#isOverFairShare(user, 0, Atomics.load(cells, TOTAL))) return 'fair-share'
    } while (Atomics.compareExchange(cells, user + USER_LIVE, live, live + 1) !== live)
    // Again, now that we hold a place: the primary gives a slot to another user only while nobody does.
    if (Atomics.load(cells, user + USER_GENERATION) !== generation) {
      Atomics.sub(cells, user + USER_LIVE, 1)
      return 'unknown-user'
    }
    if (this.#isOverFairShare(user, 1, Atomics.add(cells, TOTAL, 1))) {
      Atomics.sub(cells, TOTAL, 1)
      Atomics.sub(cells, user + USER_LIVE, 1)
      return 'fair-share'
    }
    return 'admitted'
  }

  #isOverFairShare(user: number, reserved: 0 | 1, total: number): boolean {
    if (total < Atomics.load(this.#cells, LIMIT)) return false
    this.#viewAll()
    return this.#fairShare.isReached(this.#cells, user, reserved)
  }

  /** Hot. One connection of the user has ended; publishes the account first. Throws a BugError without an `admit`. */
  leave(slot: number): void {
    const row = this.#rows[slot]
    if (row === undefined || row.live === 0) throw new BugError(`no connection of user slot ${slot} to leave`)
    // Before the count falls: with the last connection the slot may go to another user, and whatever is published
    // later would be booked on that one.
    this.#publishRow(row)
    this.#deactivate(row)
    const cells = this.#cells
    const user = userStart(this.#memory.threads, slot)
    // The shared counts fall last: whoever looks between two of these writes sees too many, never too few.
    Atomics.add(cells, this.#threadStart + THREAD_SEQUENCE, 1)
    Atomics.sub(cells, user + rowOffset(this.#thread) + ROW_LIVE, 1)
    Atomics.sub(cells, this.#threadStart + THREAD_LIVE, 1)
    Atomics.sub(cells, TOTAL, 1)
    Atomics.sub(cells, user + USER_LIVE, 1)
    Atomics.add(cells, this.#threadStart + THREAD_SEQUENCE, 1)
  }

  /** The numbers to add to, the same object for every connection of the slot. Keep it, do not look it up per chunk. */
  account(slot: number): UserAccount {
    return this.#row(slot).account
  }

  /** Let the primary see what has changed. To be called four times a second. */
  publish(): void {
    for (const row of this.#active) this.#publishRow(row)
  }

  #publishRow({ slot, account, published }: OwnRow): void {
    const { bytesIn, bytesOut, lastSeenMs } = account
    if (
      bytesIn === published.bytesIn &&
      bytesOut === published.bytesOut &&
      lastSeenMs === published.lastSeenMs
    ) {
      return
    }
    const user = userStart(this.#memory.threads, slot)
    const row = (user + rowOffset(this.#thread)) / 2
    Atomics.store(this.#numbers, row + ROW_BYTES_IN / 2, BigInt(bytesIn))
    Atomics.store(this.#numbers, row + ROW_BYTES_OUT / 2, BigInt(bytesOut))
    Atomics.store(this.#numbers, row + ROW_LAST_SEEN / 2, BigInt(lastSeenMs))
    Atomics.add(this.#cells, user + USER_VERSION, 1)
    published.bytesIn = bytesIn
    published.bytesOut = bytesOut
    published.lastSeenMs = lastSeenMs
  }

  #row(slot: number): OwnRow {
    const known = this.#rows[slot]
    if (known !== undefined) return known
    const empty = { bytesIn: 0, bytesOut: 0, lastSeenMs: 0 }
    const row = { slot, account: { ...empty }, published: { ...empty }, live: 0, activeAt: -1 }
    this.#rows[slot] = row
    return row
  }

  #activate(row: OwnRow): void {
    row.live++
    if (row.activeAt >= 0) return
    row.activeAt = this.#active.length
    this.#active.push(row)
  }

  #deactivate(row: OwnRow): void {
    row.live--
    if (row.live > 0) return
    const last = this.#active.pop()
    if (last !== undefined && last !== row) {
      this.#active[row.activeAt] = last
      last.activeAt = row.activeAt
    }
    row.activeAt = -1
  }

  #covers(slot: number): boolean {
    if (slot >= 0 && slot < this.#committed) return true
    this.#viewAll()
    return slot >= 0 && slot < this.#committed
  }

  /** The primary may have made room for more users. */
  #viewAll(): void {
    const committed = committedUsers(this.#memory.buffer, this.#memory.threads)
    if (committed === this.#committed) return
    this.#committed = committed
    const cells = userStart(this.#memory.threads, this.#committed)
    this.#cells = new Int32Array(this.#memory.buffer, 0, cells)
    this.#numbers = new BigInt64Array(this.#memory.buffer, 0, cells / 2)
  }
}
