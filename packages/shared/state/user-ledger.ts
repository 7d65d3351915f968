/**
 * The user ledger (decisions O10, O14): who holds how many connections, and what every user has moved. Admission works
 * on shared cells and is exact over all threads; traffic is kept in rows with a single writer and summed here. This is
 * the primary's side; the threads' side is user-rows.ts.
 */
import { BugError, OperatorError } from '../errors.ts'
import {
  committedUsers,
  FAIR,
  FAIR_DECISIONS,
  ledgerBytes,
  LIMIT,
  NO_LIMIT,
  REFUSALS,
  type Refusal,
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
import { repairTotal, repairUser, sumRowLive } from './ledger-repair.ts'
import { loadNumber } from './load-number.ts'
import { NO_QUOTA } from './quota-state.ts'

/** Reserves 40 + 40 × threads bytes of address space a user (68 MB at 16 threads); only users that exist cost memory. */
export const MAX_USERS = 100_000
/** Users to begin with; doubled whenever they do not suffice. */
const INITIAL_USERS = 64
/** Cells compared per `repair`: about 2 ms, whatever the number of users; the next call goes on from there. */
const REPAIR_CELLS_PER_CALL = 16_384

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface LedgerMemory {
  /** Growable. */
  readonly buffer: SharedArrayBuffer
  readonly threads: number
}

export interface UserNumbers {
  readonly connections: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Unix time, or null for never. */
  readonly lastSeenMs: number | null
}

/** What the primary alone knows of a slot. */
interface Slot {
  generation: number
  /** Added to the sum of the rows: what dead threads left, less what was there when the slot got its user. */
  bytesInOffset: number
  bytesOutOffset: number
  retiredLastSeenMs: number
  /** Activity up to then was the user's before. */
  lastSeenFloorMs: number
  /** The sums of the rows as of this version. */
  version: number
  rowsIn: number
  rowsOut: number
  rowsLastSeenMs: number
}

const NOBODY: ReadonlySet<number> = new Set()

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

export class UserLedger {
  readonly #memory: LedgerMemory
  readonly #slots: Slot[]
  /** Slots without a user; some may still have connections of the last one. */
  readonly #removed: Set<number>
  #cells: Int32Array
  #numbers: BigInt64Array
  #repairNext: number

  constructor(memory: LedgerMemory) {
    this.#memory = memory
    this.#slots = []
    this.#removed = new Set()
    this.#cells = new Int32Array(0)
    this.#numbers = new BigInt64Array(0)
    this.#repairNext = 0
    this.#commit(INITIAL_USERS)
  }

  /**
   * A slot for a new user, with all its numbers at 0, no cap and no quota. Throws an OperatorError beyond MAX_USERS.
   * @param kept slots of removed users that somebody still has to read
   */
  addUser(kept: Pick<ReadonlySet<number>, 'has'> = NOBODY): { slot: number; generation: number } {
    const slot = this.#takeRemovedSlot(kept) ?? this.#appendSlot()
    const state = this.#slot(slot)
    this.#sumRows(slot)
    state.generation++
    state.bytesInOffset = -state.rowsIn
    state.bytesOutOffset = -state.rowsOut
    state.lastSeenFloorMs = Math.max(state.rowsLastSeenMs, state.retiredLastSeenMs)
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
    const state = this.#slot(slot)
    const user = this.#user(slot)
    // First: whoever leaves publishes before the count falls, so a count without them comes with all their bytes.
    const connections = this.readLive(slot)
    if (Atomics.load(this.#cells, user + USER_VERSION) !== state.version) this.#sumRows(slot)
    const lastSeenMs = Math.max(state.rowsLastSeenMs, state.retiredLastSeenMs)
    return {
      connections,
      bytesIn: state.rowsIn + state.bytesInOffset,
      bytesOut: state.rowsOut + state.bytesOutOffset,
      lastSeenMs: lastSeenMs > state.lastSeenFloorMs ? lastSeenMs : null,
    }
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
    const state = this.#slot(slot)
    const user = this.#user(slot)
    const row = user + rowOffset(thread)
    const take = (at: number): number => Number(Atomics.exchange(this.#numbers, (row + at) / 2, 0n))
    state.bytesInOffset += take(ROW_BYTES_IN)
    state.bytesOutOffset += take(ROW_BYTES_OUT)
    state.retiredLastSeenMs = Math.max(state.retiredLastSeenMs, take(ROW_LAST_SEEN))
    // Not counted as moved, like the bytes that the thread had not published.
    const prepaid = Atomics.exchange(this.#numbers, (row + ROW_PREPAID) / 2, 0n)
    Atomics.add(this.#numbers, (user + USER_UNSPENT) / 2, prepaid)
    Atomics.sub(this.#cells, user + USER_LIVE, Atomics.exchange(this.#cells, row + ROW_LIVE, 0))
    Atomics.add(this.#cells, user + USER_VERSION, 1)
  }

  /**
   * Put right what dead threads left half done. To be called each second. Returns the number of corrections, which is
   * 0 in a healthy process.
   */
  repair(): number {
    const { threads } = this.#memory
    let corrections = repairTotal(this.#cells, threads)
    const perCall = Math.max(1, Math.floor(REPAIR_CELLS_PER_CALL / (threads + 1)))
    for (let left = Math.min(perCall, this.#slots.length); left > 0; left--) {
      const slot = this.#repairNext % this.#slots.length
      this.#repairNext = slot + 1
      corrections += repairUser(this.#cells, threads, slot)
    }
    return corrections
  }

  #sumRows(slot: number): void {
    const state = this.#slot(slot)
    const user = this.#user(slot)
    // Before the rows: what is written meanwhile raises the version again and is read next time.
    state.version = Atomics.load(this.#cells, user + USER_VERSION)
    let bytesIn = 0
    let bytesOut = 0
    let lastSeenMs = 0
    for (let thread = 0; thread < this.#memory.threads; thread++) {
      const row = user + rowOffset(thread)
      bytesIn += loadNumber(this.#cells, row + ROW_BYTES_IN)
      bytesOut += loadNumber(this.#cells, row + ROW_BYTES_OUT)
      lastSeenMs = Math.max(lastSeenMs, loadNumber(this.#cells, row + ROW_LAST_SEEN))
    }
    state.rowsIn = bytesIn
    state.rowsOut = bytesOut
    state.rowsLastSeenMs = lastSeenMs
  }

  #takeRemovedSlot(kept: Pick<ReadonlySet<number>, 'has'>): number | undefined {
    for (const slot of this.#removed) {
      if (
        kept.has(slot) ||
        Atomics.load(this.#cells, this.#user(slot) + USER_LIVE) !== 0 ||
        sumRowLive(this.#cells, this.#memory.threads, slot) !== 0
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
    this.#commit(slot + 1)
    this.#slots.push({
      generation: 0,
      bytesInOffset: 0,
      bytesOutOffset: 0,
      retiredLastSeenMs: 0,
      lastSeenFloorMs: 0,
      version: 0,
      rowsIn: 0,
      rowsOut: 0,
      rowsLastSeenMs: 0,
    })
    return slot
  }

  #commit(users: number): void {
    const { buffer, threads } = this.#memory
    const committed = committedUsers(buffer, threads)
    if (users > committed)
      buffer.grow(ledgerBytes(threads, Math.min(MAX_USERS, Math.max(users, 2 * committed))))
    else if (this.#cells.length > 0) return
    // Of a fixed length, see user-rows.ts.
    const cells = userStart(threads, committedUsers(buffer, threads))
    this.#cells = new Int32Array(buffer, 0, cells)
    this.#numbers = new BigInt64Array(buffer, 0, cells / 2)
  }

  #slot(slot: number): Slot {
    const state = this.#slots[slot]
    if (state === undefined) throw new BugError(`no such user slot: ${slot}`)
    return state
  }

  #user(slot: number): number {
    this.#slot(slot)
    return userStart(this.#memory.threads, slot)
  }
}
