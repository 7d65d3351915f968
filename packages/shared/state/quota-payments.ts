/**
 * A thread's side of the quotas (decision O13): it pays what its users move from slices that it takes in advance, gives
 * back what they do not need, and sees to it that who has nothing left moves no more. The primary's side is
 * quota-ledger.ts.
 */
import { ROW_PREPAID, rowOffset, USER_QUOTA, USER_UNSPENT, userStart } from './ledger-layout.ts'
import type { LedgerView } from './ledger-memory.ts'
import { takeSlice } from './prepaid.ts'
import { isUsedUp, NO_QUOTA } from './quota-state.ts'
import type { ThreadSequence } from './thread-sequence.ts'
import type { UserAccount } from './user-account.ts'

export class QuotaPayments {
  readonly #view: LedgerView
  readonly #thread: number
  readonly #sequence: ThreadSequence
  readonly #onUsedUp: (slot: number) => void

  /** @param onUsedUp whose quota is used up: this user's connections in this thread have to end, but not within the call */
  constructor(view: LedgerView, thread: number, sequence: ThreadSequence, onUsedUp: (slot: number) => void) {
    this.#view = view
    this.#thread = thread
    this.#sequence = sequence
    this.#onUsedUp = onUsedUp
  }

  /**
   * The user's first connection in this thread begins. Not only with the next publication: a quota may be smaller than
   * what is moved until then.
   */
  begin(slot: number, account: UserAccount): void {
    const hasQuota = Atomics.load(this.#view.cells, this.#user(slot) + USER_QUOTA) !== NO_QUOTA
    account.prepaid = hasQuota ? 0 : Infinity
  }

  /**
   * What the primary or another thread has changed about the user's quota.
   * @param isIdle nothing was moved lately: others may need what was taken for it
   */
  follow(slot: number, account: UserAccount, isIdle: boolean): void {
    const state = Atomics.load(this.#view.cells, this.#user(slot) + USER_QUOTA)
    if (state === NO_QUOTA) {
      if (account.prepaid === Infinity) return
      this.giveBack(slot, account)
      account.prepaid = Infinity
      return
    }
    if (account.prepaid === Infinity) account.prepaid = 0
    const ended = isUsedUp(state)
    if (ended || isIdle) this.giveBack(slot, account)
    if (ended) this.#onUsedUp(slot)
  }

  /** Hot, once per slice: more was moved than was taken in advance. */
  payMore(slot: number, account: UserAccount): void {
    const { cells, numbers, threads } = this.#view
    const user = this.#user(slot)
    this.#sequence.begin()
    const taken = takeSlice(cells, numbers, user, -account.prepaid, threads)
    if (taken > 0 && taken !== Infinity) {
      account.prepaid += taken
      Atomics.add(numbers, (user + rowOffset(this.#thread) + ROW_PREPAID) / 2, BigInt(taken))
    }
    this.#sequence.end()
    // Without a quota, the next publication makes it Infinity.
    if (taken !== Infinity && account.prepaid < 0) this.#onUsedUp(slot)
  }

  /** All that is published was paid; the rest is for others, a debt included. */
  giveBack(slot: number, account: UserAccount): void {
    const { prepaid } = account
    if (prepaid === 0 || prepaid === Infinity) return
    const { numbers } = this.#view
    const user = this.#user(slot)
    this.#sequence.begin()
    Atomics.store(numbers, (user + rowOffset(this.#thread) + ROW_PREPAID) / 2, 0n)
    Atomics.add(numbers, (user + USER_UNSPENT) / 2, BigInt(prepaid))
    this.#sequence.end()
    account.prepaid = 0
  }

  #user(slot: number): number {
    return userStart(this.#view.threads, slot)
  }
}
