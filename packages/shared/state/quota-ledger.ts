/** Users' quotas in the ledger's memory (decision O13), as the primary sets and reads them; threads spend them. */
import { BugError } from '../errors.ts'
import { USER_QUOTA, USER_UNSPENT, userStart } from './ledger-layout.ts'
import { repairUnspent, sumPrepaid } from './ledger-repair.ts'
import { isUsedUp, markUsedUp, NO_QUOTA, reopen } from './quota-state.ts'
import { type LedgerMemory, LedgerView } from './ledger-memory.ts'
import type { UserLedger } from './user-ledger.ts'

interface Quota {
  readonly limitBytes: number
  /** What the ledger had counted for the user when nothing of the quota was used; below 0 for what was used elsewhere. */
  readonly base: number
}

/**
 * What the threads have published is the measure: of a quota is used what the user has moved since it began, to the byte
 * and as everybody else reports it.
 */
export class QuotaLedger {
  readonly #view: LedgerView
  readonly #ledger: Pick<UserLedger, 'read'>
  readonly #quotas: Map<number, Quota>

  constructor(memory: LedgerMemory, ledger: Pick<UserLedger, 'read'>) {
    this.#view = new LedgerView(memory)
    this.#ledger = ledger
    this.#quotas = new Map()
  }

  /** The user of this slot may move so many bytes from now on, of which some count as used. */
  begin(slot: number, limitBytes: number, usedBytes: number): void {
    if (!this.#view.covers(slot)) throw new BugError(`no such user slot: ${slot}`)
    const { cells, numbers, threads } = this.#view
    const base = this.#moved(slot) - usedBytes
    const unspent = limitBytes - usedBytes - sumPrepaid(cells, threads, slot)
    Atomics.store(numbers, (this.#user(slot) + USER_UNSPENT) / 2, BigInt(unspent))
    this.#open(slot, { limitBytes, base })
  }

  /**
   * The quota is another one, or more or less of it counts as used. Takes effect at once; connections of a user who has
   * used all of it are ended by their threads with their next publication.
   * @param usedChange bytes, in addition to what is counted as used by now
   */
  change(slot: number, limitBytes: number, usedChange: number): void {
    const before = this.#quota(slot)
    // Threads may take some of it at the same moment.
    const unspentChange = BigInt(limitBytes - before.limitBytes - usedChange)
    Atomics.add(this.#view.numbers, (this.#user(slot) + USER_UNSPENT) / 2, unspentChange)
    this.#open(slot, { limitBytes, base: before.base - usedChange })
  }

  /** The user of this slot has none any more, or is gone. */
  remove(slot: number): void {
    if (!this.#quotas.delete(slot)) return
    Atomics.store(this.#view.cells, this.#user(slot) + USER_QUOTA, NO_QUOTA)
  }

  /** Bytes, as of the threads' last publication. */
  readUsed(slot: number): number {
    // What was counted when it was written and never sent is taken back, by connections from before as well.
    return Math.max(0, this.#moved(slot) - this.#quota(slot).base)
  }

  /**
   * Whether it is used up, so that nobody is let in any more. What is used may be a little less, or more, than the quota.
   * Marks one that no thread would: it was made smaller before all was published that had been moved, and as nothing has
   * moved since, nobody has asked for more. To be called several times a second.
   */
  settle(slot: number): boolean {
    const { cells, numbers } = this.#view
    const cell = this.#user(slot) + USER_QUOTA
    const state = Atomics.load(cells, cell)
    if (isUsedUp(state)) return true
    // Not to sum up what threads have moved for everybody all the time: without this it cannot be.
    if (Atomics.load(numbers, (this.#user(slot) + USER_UNSPENT) / 2) >= 0n) return false
    if (this.readUsed(slot) <= this.#quota(slot).limitBytes) return false
    Atomics.compareExchange(cells, cell, state, markUsedUp(state)) // or a thread has done so
    return true
  }

  /** Put right what a dead thread left half done. Returns the number of corrections, 0 or 1. */
  repair(slot: number): number {
    const { limitBytes, base } = this.#quota(slot)
    const left = (): number => limitBytes - (this.#moved(slot) - base)
    const { cells, numbers, threads } = this.#view
    return repairUnspent(cells, numbers, threads, slot, left)
  }

  #moved(slot: number): number {
    const { bytesIn, bytesOut } = this.#ledger.read(slot)
    return bytesIn + bytesOut
  }

  /** Last: what is left is there already when threads see that something is. */
  #open(slot: number, quota: Quota): void {
    this.#quotas.set(slot, quota)
    const { cells } = this.#view
    const cell = this.#user(slot) + USER_QUOTA
    const state = reopen(Atomics.load(cells, cell))
    const isLeft = this.readUsed(slot) < quota.limitBytes
    Atomics.store(cells, cell, isLeft ? state : markUsedUp(state))
  }

  #quota(slot: number): Quota {
    const quota = this.#quotas.get(slot)
    if (quota === undefined) throw new BugError(`user slot ${slot} has no quota`)
    return quota
  }

  #user(slot: number): number {
    return userStart(this.#view.threads, slot)
  }
}
