/** The user ledger as a worker thread writes it: admission (decision O14), departure, traffic and its quota (O13). */
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
  ROW_PREPAID,
  rowOffset,
  THREAD_LIVE,
  THREAD_SEQUENCE,
  threadStart,
  TOTAL,
  USER_CAP,
  USER_GENERATION,
  USER_LIVE,
  USER_QUOTA,
  USER_REFUSED,
  USER_UNSPENT,
  USER_VERSION,
  userStart,
} from './ledger-layout.ts'
import { takeSlice } from './prepaid.ts'
import { isUsedUp, NO_QUOTA } from './quota-state.ts'
import type { LedgerMemory } from './ledger-memory.ts'

/**
 * `cap`: the user holds as many connections as allowed; `fair-share`: the proxy is full and the user has a fair share
 * already; `quota`: the user has moved as many bytes as allowed; `unknown-user`: removed meanwhile.
 */
export type Admission = 'admitted' | Refusal | 'unknown-user'

const REFUSED_CELL = Object.fromEntries(
  REFUSALS.map((reason, index) => [reason, USER_REFUSED + index]),
) as Record<Refusal, number> // fromEntries forgets which keys it was given

interface Moved {
  bytesIn: number
  bytesOut: number
  /** Unix time of the last activity, 0 for never. */
  lastSeenMs: number
}

/**
 * What a user has moved through this thread. The relay adds to it directly. It is read while the user has connections
 * in this thread: whoever adds must do so before `leave`, and take the same off `prepaid`.
 */
export interface UserAccount extends Moved {
  /** Bytes of the quota that the thread has taken and not seen moved yet; Infinity without a quota. */
  prepaid: number
  /** To be called when `prepaid` has fallen below 0: take more, or see the end of the quota. */
  readonly payMore: () => void
}

interface OwnRow {
  readonly slot: number
  readonly account: UserAccount
  readonly published: Moved
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
  readonly #onUsedUp: (slot: number) => void
  // Views of a fixed length, made anew when the memory has grown: on views that follow the growth by themselves every
  // access costs four times as much.
  #cells: Int32Array
  #numbers: BigInt64Array
  #committed: number

  /** @param onUsedUp whose quota is used up: this user's connections in this thread have to end, but not within the call */
  constructor(memory: LedgerMemory, thread: number, onUsedUp: (slot: number) => void = () => {}) {
    if (!Number.isInteger(thread) || thread < 0 || thread >= memory.threads) {
      throw new BugError(`no such thread in the user ledger: ${thread} of ${memory.threads}`)
    }
    this.#memory = memory
    this.#thread = thread
    this.#threadStart = threadStart(thread)
    this.#rows = []
    this.#active = []
    this.#fairShare = new FairShare(memory)
    this.#onUsedUp = onUsedUp
    this.#cells = new Int32Array(0)
    this.#numbers = new BigInt64Array(0)
    this.#committed = 0
  }

  /**
   * Hot. Count one more connection of the user, unless that would exceed the cap or the fair share, or the quota is used
   * up. Exact over all threads; every `'admitted'` must be followed by one `leave`.
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
    if (admission === 'admitted') this.#activate(user, this.#row(slot))
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
      if (isUsedUp(Atomics.load(cells, user + USER_QUOTA))) return 'quota'
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
    const user = userStart(this.#memory.threads, slot)
    this.#publishRow(user, row)
    if (row.live === 1) this.#giveBack(user, row)
    this.#deactivate(row)
    const cells = this.#cells
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

  /** Let the primary see what has changed, and follow what has become of quotas. To be called four times a second. */
  publish(): void {
    for (const row of this.#active) {
      const user = userStart(this.#memory.threads, row.slot)
      const isIdle = !this.#publishRow(user, row)
      this.#followQuota(user, row, isIdle)
    }
  }

  /** False when nothing has changed since the last time. */
  #publishRow(user: number, { account, published }: OwnRow): boolean {
    const { bytesIn, bytesOut, lastSeenMs, prepaid } = account
    if (
      bytesIn === published.bytesIn &&
      bytesOut === published.bytesOut &&
      lastSeenMs === published.lastSeenMs
    ) {
      return false
    }
    const row = (user + rowOffset(this.#thread)) / 2
    this.#change(() => {
      Atomics.store(this.#numbers, row + ROW_BYTES_IN / 2, BigInt(bytesIn))
      Atomics.store(this.#numbers, row + ROW_BYTES_OUT / 2, BigInt(bytesOut))
      Atomics.store(this.#numbers, row + ROW_LAST_SEEN / 2, BigInt(lastSeenMs))
      if (prepaid !== Infinity) Atomics.store(this.#numbers, row + ROW_PREPAID / 2, BigInt(prepaid))
      Atomics.add(this.#cells, user + USER_VERSION, 1)
    })
    published.bytesIn = bytesIn
    published.bytesOut = bytesOut
    published.lastSeenMs = lastSeenMs
    return true
  }

  /** What the primary or another thread has changed about the user's quota. Others may need what is not used here. */
  #followQuota(user: number, row: OwnRow, isIdle: boolean): void {
    const { account } = row
    const state = Atomics.load(this.#cells, user + USER_QUOTA)
    if (state === NO_QUOTA) {
      if (account.prepaid === Infinity) return
      this.#giveBack(user, row)
      account.prepaid = Infinity
      return
    }
    if (account.prepaid === Infinity) account.prepaid = 0
    const ended = isUsedUp(state)
    if (ended || isIdle) this.#giveBack(user, row)
    if (ended) this.#onUsedUp(row.slot)
  }

  /** Hot, once per slice: more was moved than was taken in advance. */
  #payMore(row: OwnRow): void {
    const { account, slot } = row
    const { threads } = this.#memory
    const user = userStart(threads, slot)
    let taken = 0
    this.#change(() => {
      taken = takeSlice(this.#cells, this.#numbers, user, -account.prepaid, threads)
      if (taken === 0 || taken === Infinity) return
      account.prepaid += taken
      Atomics.add(this.#numbers, (user + rowOffset(this.#thread) + ROW_PREPAID) / 2, BigInt(taken))
    })
    // Without a quota, the next publication makes it Infinity.
    if (taken !== Infinity && account.prepaid < 0) this.#onUsedUp(slot)
  }

  /** All that is published was paid; the rest is for others, a debt included. */
  #giveBack(user: number, { account }: OwnRow): void {
    const { prepaid } = account
    if (prepaid === 0 || prepaid === Infinity) return
    this.#change(() => {
      Atomics.store(this.#numbers, (user + rowOffset(this.#thread) + ROW_PREPAID) / 2, 0n)
      Atomics.add(this.#numbers, (user + USER_UNSPENT) / 2, BigInt(prepaid))
    })
    account.prepaid = 0
  }

  /** Several writes that belong together: the primary repairs nothing meanwhile, see ledger-repair.ts. */
  #change(write: () => void): void {
    Atomics.add(this.#cells, this.#threadStart + THREAD_SEQUENCE, 1)
    write()
    Atomics.add(this.#cells, this.#threadStart + THREAD_SEQUENCE, 1)
  }

  #row(slot: number): OwnRow {
    const known = this.#rows[slot]
    if (known !== undefined) return known
    const empty = { bytesIn: 0, bytesOut: 0, lastSeenMs: 0 }
    const row: OwnRow = {
      slot,
      account: { ...empty, prepaid: Infinity, payMore: () => this.#payMore(row) },
      published: { ...empty },
      live: 0,
      activeAt: -1,
    }
    this.#rows[slot] = row
    return row
  }

  #activate(user: number, row: OwnRow): void {
    // Not only with the next publication: a quota may be smaller than what is moved until then.
    const hasQuota = Atomics.load(this.#cells, user + USER_QUOTA) !== NO_QUOTA
    if (row.live === 0) row.account.prepaid = hasQuota ? 0 : Infinity
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
