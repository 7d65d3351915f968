/** Users' quotas in the ledger's memory (decision O13), as the primary sets and reads them; threads spend them. */
import { BugError } from '../errors.ts'
import { committedUsers, USER_QUOTA, USER_UNSPENT, userStart } from './ledger-layout.ts'
import { repairUnspent, sumPrepaid } from './ledger-repair.ts'
import { isUsedUp, markUsedUp, NO_QUOTA, reopen } from './quota-state.ts'
import type { LedgerMemory, UserLedger } from './user-ledger.ts'

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
  readonly #memory: LedgerMemory
  readonly #ledger: Pick<UserLedger, 'read'>
  readonly #quotas: Map<number, Quota>
  // Of a fixed length, see user-rows.ts.
  #cells: Int32Array
  #numbers: BigInt64Array

  constructor(memory: LedgerMemory, ledger: Pick<UserLedger, 'read'>) {
    this.#memory = memory
    this.#ledger = ledger
    this.#quotas = new Map()
    this.#cells = new Int32Array(0)
    this.#numbers = new BigInt64Array(0)
  }

  /**
   * The user of this slot may move so many bytes, of which some count as used. Takes effect at once; connections of
   * a user who has used more than that are ended by their threads with their next publication.
   */
  set(slot: number, limitBytes: number, usedBytes: number): void {
    this.#viewAll(slot)
    const user = userStart(this.#memory.threads, slot)
    const known = this.#quotas.get(slot)
    const base = this.#moved(slot) - usedBytes
    this.#quotas.set(slot, { limitBytes, base })
    const state = Atomics.load(this.#cells, user + USER_QUOTA)
    const at = (user + USER_UNSPENT) / 2
    if (known === undefined || state === NO_QUOTA)
      Atomics.store(this.#numbers, at, BigInt(limitBytes - usedBytes - this.#sumPrepaid(slot)))
    // Threads may take some of it at the same moment.
    else
      Atomics.add(this.#numbers, at, BigInt(limitBytes - known.limitBytes) + BigInt(base - known.base))
    const open = reopen(state)
    Atomics.store(this.#cells, user + USER_QUOTA, usedBytes < limitBytes ? open : markUsedUp(open))
  }

  /** The user of this slot has none any more, or is gone. */
  remove(slot: number): void {
    if (!this.#quotas.delete(slot)) return
    Atomics.store(this.#cells, userStart(this.#memory.threads, slot) + USER_QUOTA, NO_QUOTA)
  }

  /** Bytes, as of the threads' last publication. */
  readUsed(slot: number): number {
    // What was counted when it was written and never sent is taken back, by connections from before as well.
    return Math.max(0, this.#moved(slot) - this.#quota(slot).base)
  }

  /** Nobody is let in any more. What is used may be a little less, or more, than the quota. */
  isUsedUp(slot: number): boolean {
    return isUsedUp(Atomics.load(this.#cells, userStart(this.#memory.threads, slot) + USER_QUOTA))
  }

  /** Put right what a dead thread left half done. Returns the number of corrections, 0 or 1. */
  repair(slot: number): number {
    const { limitBytes, base } = this.#quota(slot)
    const left = (): number => limitBytes - (this.#moved(slot) - base)
    return repairUnspent(this.#cells, this.#numbers, this.#memory.threads, slot, left)
  }

  #moved(slot: number): number {
    const { bytesIn, bytesOut } = this.#ledger.read(slot)
    return bytesIn + bytesOut
  }

  #sumPrepaid(slot: number): number {
    return sumPrepaid(this.#cells, this.#memory.threads, slot)
  }

  #quota(slot: number): Quota {
    const quota = this.#quotas.get(slot)
    if (quota === undefined) throw new BugError(`user slot ${slot} has no quota`)
    return quota
  }

  #viewAll(slot: number): void {
    const { buffer, threads } = this.#memory
    const cells = userStart(threads, committedUsers(buffer, threads))
    if (userStart(threads, slot) >= cells) throw new BugError(`no such user slot: ${slot}`)
    if (cells === this.#cells.length) return
    this.#cells = new Int32Array(buffer, 0, cells)
    this.#numbers = new BigInt64Array(buffer, 0, cells / 2)
  }
}
