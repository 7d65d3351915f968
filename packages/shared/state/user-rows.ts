/** The user ledger as a worker thread writes it: admission (decision O14), departure and traffic. */
import { BugError } from '../errors.ts'
import { FairShare } from './fair-share.ts'
import {
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
  threadStart,
  TOTAL,
  USER_CAP,
  USER_GENERATION,
  USER_LIVE,
  USER_QUOTA,
  USER_REFUSED,
  USER_VERSION,
  userStart,
} from './ledger-layout.ts'
import { type LedgerMemory, LedgerView } from './ledger-memory.ts'
import { QuotaPayments } from './quota-payments.ts'
import { isUsedUp } from './quota-state.ts'
import { ThreadSequence } from './thread-sequence.ts'
import type { Moved, UserAccount } from './user-account.ts'

/**
 * `cap`: the user holds as many connections as allowed; `fair-share`: the proxy is full and the user has a fair share
 * already; `quota`: the user has moved as many bytes as allowed; `unknown-user`: removed meanwhile.
 */
export type Admission = 'admitted' | Refusal | 'unknown-user'

const REFUSED_CELL = Object.fromEntries(
  REFUSALS.map((reason, index) => [reason, USER_REFUSED + index]),
) as Record<Refusal, number> // fromEntries forgets which keys it was given

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
  readonly #view: LedgerView
  readonly #thread: number
  /** Where the thread's own counts stand. */
  readonly #own: number
  readonly #sequence: ThreadSequence
  readonly #quotas: QuotaPayments
  readonly #fairShare: FairShare
  readonly #rows: (OwnRow | undefined)[]
  readonly #active: OwnRow[]

  /** @param onUsedUp whose quota is used up: this user's connections in this thread have to end, but not within the call */
  constructor(memory: LedgerMemory, thread: number, onUsedUp: (slot: number) => void = () => {}) {
    if (!Number.isInteger(thread) || thread < 0 || thread >= memory.threads) {
      throw new BugError(`no such thread in the user ledger: ${thread} of ${memory.threads}`)
    }
    this.#view = new LedgerView(memory)
    this.#thread = thread
    this.#own = threadStart(thread)
    this.#sequence = new ThreadSequence(this.#view, thread)
    this.#quotas = new QuotaPayments(this.#view, thread, this.#sequence, onUsedUp)
    this.#fairShare = new FairShare(memory)
    this.#rows = []
    this.#active = []
  }

  /**
   * Hot. Count one more connection of the user, unless that would exceed the cap or the fair share, or the quota is used
   * up. Exact over all threads; every `'admitted'` must be followed by one `leave`.
   */
  admit(slot: number, generation: number): Admission {
    if (!this.#view.covers(slot)) return 'unknown-user'
    const { cells } = this.#view
    const user = this.#user(slot)
    this.#sequence.begin()
    const admission = this.#reserve(user, generation)
    if (admission === 'admitted') {
      Atomics.add(cells, user + rowOffset(this.#thread) + ROW_LIVE, 1)
      Atomics.add(cells, this.#own + THREAD_LIVE, 1)
    }
    this.#sequence.end()
    if (admission === 'admitted') this.#activate(this.#row(slot))
    else if (admission !== 'unknown-user') Atomics.add(cells, user + REFUSED_CELL[admission], 1)
    return admission
  }

  #reserve(user: number, generation: number): Admission {
    const { cells } = this.#view
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
    if (total < Atomics.load(this.#view.cells, LIMIT)) return false
    this.#view.follow()
    return this.#fairShare.isReached(this.#view.cells, user, reserved)
  }

  /** Hot. One connection of the user has ended; publishes the account first. Throws a BugError without an `admit`. */
  leave(slot: number): void {
    const row = this.#rows[slot]
    if (row === undefined || row.live === 0) throw new BugError(`no connection of user slot ${slot} to leave`)
    // Before the count falls: with the last connection the slot may go to another user, and whatever is published
    // later would be booked on that one.
    this.#publishRow(row)
    if (row.live === 1) this.#quotas.giveBack(slot, row.account)
    this.#deactivate(row)
    const { cells } = this.#view
    const user = this.#user(slot)
    // The shared counts fall last: whoever looks between two of these writes sees too many, never too few.
    this.#sequence.begin()
    Atomics.sub(cells, user + rowOffset(this.#thread) + ROW_LIVE, 1)
    Atomics.sub(cells, this.#own + THREAD_LIVE, 1)
    Atomics.sub(cells, TOTAL, 1)
    Atomics.sub(cells, user + USER_LIVE, 1)
    this.#sequence.end()
  }

  /** The numbers to add to, the same object for every connection of the slot. Keep it, do not look it up per chunk. */
  account(slot: number): UserAccount {
    return this.#row(slot).account
  }

  /** Let the primary see what has changed, and follow what has become of quotas. To be called four times a second. */
  publish(): void {
    for (const row of this.#active) {
      const isIdle = !this.#publishRow(row)
      this.#quotas.follow(row.slot, row.account, isIdle)
    }
  }

  /** False when nothing has changed since the last time. */
  #publishRow({ slot, account, published }: OwnRow): boolean {
    const { bytesIn, bytesOut, lastSeenMs, prepaid } = account
    if (
      bytesIn === published.bytesIn &&
      bytesOut === published.bytesOut &&
      lastSeenMs === published.lastSeenMs
    ) {
      return false
    }
    const { cells, numbers } = this.#view
    const user = this.#user(slot)
    const row = (user + rowOffset(this.#thread)) / 2
    this.#sequence.begin()
    Atomics.store(numbers, row + ROW_BYTES_IN / 2, BigInt(bytesIn))
    Atomics.store(numbers, row + ROW_BYTES_OUT / 2, BigInt(bytesOut))
    Atomics.store(numbers, row + ROW_LAST_SEEN / 2, BigInt(lastSeenMs))
    if (prepaid !== Infinity) Atomics.store(numbers, row + ROW_PREPAID / 2, BigInt(prepaid))
    Atomics.add(cells, user + USER_VERSION, 1)
    this.#sequence.end()
    published.bytesIn = bytesIn
    published.bytesOut = bytesOut
    published.lastSeenMs = lastSeenMs
    return true
  }

  #row(slot: number): OwnRow {
    const known = this.#rows[slot]
    if (known !== undefined) return known
    const empty = { bytesIn: 0, bytesOut: 0, lastSeenMs: 0 }
    const row: OwnRow = {
      slot,
      account: { ...empty, prepaid: Infinity, payMore: () => this.#quotas.payMore(slot, row.account) },
      published: { ...empty },
      live: 0,
      activeAt: -1,
    }
    this.#rows[slot] = row
    return row
  }

  #activate(row: OwnRow): void {
    if (row.live === 0) this.#quotas.begin(row.slot, row.account)
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

  #user(slot: number): number {
    return userStart(this.#view.threads, slot)
  }
}
