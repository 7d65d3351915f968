/**
 * The user ledger (decisions O10, O14): who holds how many connections, and what every user has moved. Admission works
 * on shared cells and is exact over all threads; traffic is kept in rows with a single writer and summed here. This is
 * the primary's side; the threads' side is user-rows.ts.
 */
import { BugError, OperatorError } from '../errors.ts'
import {
  FAIR,
  FAIR_DECISIONS,
  LIMIT,
  NO_LIMIT,
  REFUSALS,
  type Refusal,
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
import { type LedgerMemory, LedgerView, MAX_USERS } from './ledger-memory.ts'
import { repairTotal, repairUser, sumRowLive } from './ledger-repair.ts'
import { NO_QUOTA } from './quota-state.ts'
import { type TrafficNumbers, UserTraffic } from './user-traffic.ts'

/** Cells compared per `repair`: about 2 ms, whatever the number of users; the next call goes on from there. */
const REPAIR_CELLS_PER_CALL = 16_384

/** What a user holds and has moved. */
export interface UserNumbers extends TrafficNumbers {
  readonly connections: number
}

interface Slot {
  /** Of its user; counts them. */
  generation: number
  readonly traffic: UserTraffic
}

const NOBODY: ReadonlySet<number> = new Set()

export class UserLedger {
  readonly #view: LedgerView
  readonly #slots: Slot[]
  /** Slots without a user; some may still have connections of the last one. */
  readonly #removed: Set<number>
  #repairNext: number

  constructor(memory: LedgerMemory) {
    this.#view = new LedgerView(memory)
    this.#slots = []
    this.#removed = new Set()
    this.#repairNext = 0
  }

  /**
   * A slot for a new user, with all its numbers at 0, no cap and no quota. Throws an OperatorError beyond MAX_USERS.
   * @param kept slots of removed users that somebody still has to read
   */
  addUser(kept: Pick<ReadonlySet<number>, 'has'> = NOBODY): { slot: number; generation: number } {
    const slot = this.#takeRemovedSlot(kept) ?? this.#appendSlot()
    const state = this.#slot(slot)
    state.traffic.begin()
    state.generation++
    const user = this.#user(slot)
    Atomics.store(this.#cells, user + USER_CAP, NO_LIMIT)
    Atomics.store(this.#cells, user + USER_QUOTA, NO_QUOTA)
    for (let reason = 0; reason < REFUSALS.length; reason++)
      Atomics.store(this.#cells, user + USER_REFUSED + reason, 0)
    // Last: from now on threads admit.
    Atomics.store(this.#cells, user + USER_GENERATION, state.generation)
    return { slot, generation: state.generation }
  }

  /** Admit nobody any more. Living connections go on, are counted, and keep the slot from being used again. */
  removeUser(slot: number): void {
    if (this.#removed.has(slot)) throw new BugError(`user slot ${slot} has no user to remove`)
    Atomics.store(this.#cells, this.#user(slot) + USER_GENERATION, 0)
    this.#removed.add(slot)
  }

  /** Connections the user may hold at most; null for no cap. Takes effect at the next admission. */
  setCap(slot: number, cap: number | null): void {
    Atomics.store(this.#cells, this.#user(slot) + USER_CAP, cap ?? NO_LIMIT)
  }

  /**
   * Connections of all users together, from which on nobody gets more than a fair share; null for no limit (decision
   * O14). Takes effect at the next admission.
   */
  setLimit(limit: number | null): void {
    Atomics.store(this.#cells, LIMIT, limit ?? NO_LIMIT)
    this.refreshFairShare()
  }

  /** Let the next decision at the limit count everybody anew, however many it would have been good for. */
  refreshFairShare(): void {
    Atomics.store(this.#cells, FAIR, NO_LIMIT)
    Atomics.store(this.#cells, FAIR_DECISIONS, 0)
  }

  /** Connections of all users. */
  total(): number {
    return Math.max(0, Atomics.load(this.#cells, TOTAL))
  }

  /** What a user holds now. */
  readLive(slot: number): number {
    return Math.max(0, Atomics.load(this.#cells, this.#user(slot) + USER_LIVE))
  }

  /** How often a user was refused, by reason. */
  readRefusals(slot: number): Readonly<Record<Refusal, number>> {
    const start = this.#user(slot) + USER_REFUSED
    const counts = REFUSALS.map((reason, index) => [reason, Atomics.load(this.#cells, start + index)])
    return Object.fromEntries(counts) as Record<Refusal, number> // fromEntries forgets which keys it was given
  }

  /** What a user holds and has moved, as of the threads' last publication (250 ms). */
  read(slot: number): UserNumbers {
    const { traffic } = this.#slot(slot)
    // First: whoever leaves publishes before the count falls, so a count without them comes with all their bytes.
    const connections = this.readLive(slot)
    // Spelt out: a spread costs as much as the rest, for each user of a scrape.
    const { bytesIn, bytesOut, lastSeenMs } = traffic.read()
    return { connections, bytesIn, bytesOut, lastSeenMs }
  }

  /**
   * The thread is dead: keep what it had counted, drop the connections it held, empty its rows. Call it when the
   * thread has ended and before another one gets its number. What it left half done, `repair` puts right.
   */
  forgetThread(thread: number): void {
    const cells = this.#cells
    const own = threadStart(thread)
    for (let slot = 0; slot < this.#slots.length; slot++) this.#forgetRow(slot, thread)
    Atomics.sub(cells, TOTAL, Atomics.exchange(cells, own + THREAD_LIVE, 0))
    if (Atomics.load(cells, own + THREAD_SEQUENCE) % 2 !== 0) Atomics.add(cells, own + THREAD_SEQUENCE, 1)
  }

  #forgetRow(slot: number, thread: number): void {
    const user = this.#user(slot)
    const row = user + rowOffset(thread)
    this.#slot(slot).traffic.retire(thread)
    // Not counted as moved, like the bytes that the thread had not published.
    const prepaid = Atomics.exchange(this.#view.numbers, (row + ROW_PREPAID) / 2, 0n)
    Atomics.add(this.#view.numbers, (user + USER_UNSPENT) / 2, prepaid)
    Atomics.sub(this.#cells, user + USER_LIVE, Atomics.exchange(this.#cells, row + ROW_LIVE, 0))
    Atomics.add(this.#cells, user + USER_VERSION, 1)
  }

  /**
   * Put right what dead threads left half done. To be called each second. Returns the number of corrections, which is
   * 0 in a healthy process.
   */
  repair(): number {
    const { threads } = this.#view
    let corrections = repairTotal(this.#cells, threads)
    const perCall = Math.max(1, Math.floor(REPAIR_CELLS_PER_CALL / (threads + 1)))
    for (let left = Math.min(perCall, this.#slots.length); left > 0; left--) {
      const slot = this.#repairNext % this.#slots.length
      this.#repairNext = slot + 1
      corrections += repairUser(this.#cells, threads, slot)
    }
    return corrections
  }

  #takeRemovedSlot(kept: Pick<ReadonlySet<number>, 'has'>): number | undefined {
    for (const slot of this.#removed) {
      if (
        kept.has(slot) ||
        Atomics.load(this.#cells, this.#user(slot) + USER_LIVE) !== 0 ||
        sumRowLive(this.#cells, this.#view.threads, slot) !== 0
      )
        continue
      this.#removed.delete(slot)
      return slot
    }
    return undefined
  }

  #appendSlot(): number {
    const slot = this.#slots.length
    if (slot >= MAX_USERS) throw new OperatorError(`too many users: at most ${MAX_USERS} are possible`)
    this.#view.commit(slot + 1)
    this.#slots.push({ generation: 0, traffic: new UserTraffic(this.#view, slot) })
    return slot
  }

  get #cells(): Int32Array {
    return this.#view.cells
  }

  #slot(slot: number): Slot {
    const state = this.#slots[slot]
    if (state === undefined) throw new BugError(`no such user slot: ${slot}`)
    return state
  }

  #user(slot: number): number {
    this.#slot(slot)
    return userStart(this.#view.threads, slot)
  }
}
