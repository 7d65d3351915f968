/**
 * Puts right what a thread left half done when it died between two writes (decision O10): shared counts that differ
 * from the sum of the rows. A difference counts only if no thread was between two writes while it was measured, so
 * counts that are merely moving are left alone.
 */
import {
  ROW_LIVE,
  ROW_PREPAID,
  rowOffset,
  THREAD_LIVE,
  THREAD_SEQUENCE,
  threadStart,
  TOTAL,
  USER_LIVE,
  USER_UNSPENT,
  userStart,
} from './ledger-layout.ts'
import { loadNumber } from './load-number.ts'

/** How often to look again when a thread was at work meanwhile, before the count is left to the next repair. */
const REPAIR_ATTEMPTS = 8

/** The total against the threads' own counts. Returns the number of corrections, 0 or 1. */
export function repairTotal(cells: Int32Array, threads: number): number {
  return repairCell(cells, threads, TOTAL, () => sumThreadLive(cells, threads))
}

/** A user's count against the user's rows. Returns the number of corrections, 0 or 1. */
export function repairUser(cells: Int32Array, threads: number, slot: number): number {
  const user = userStart(threads, slot)
  return repairCell(cells, threads, user + USER_LIVE, () => sumRowLive(cells, threads, slot))
}

/**
 * What is left of a user's quota against what was moved, and what threads have taken of it in advance: these three are
 * the quota. Returns the number of corrections, 0 or 1.
 * @param leftBytes the quota less what was moved, as published
 */
export function repairUnspent(
  cells: Int32Array,
  numbers: BigInt64Array,
  threads: number,
  slot: number,
  leftBytes: () => number,
): number {
  const user = userStart(threads, slot)
  for (let attempt = 0; attempt < REPAIR_ATTEMPTS; attempt++) {
    const before = sumSequences(cells, threads)
    const unspent = leftBytes() - sumPrepaid(cells, threads, slot)
    const difference = unspent - loadNumber(cells, user + USER_UNSPENT)
    if (difference === 0) return 0
    if (before === null || before !== sumSequences(cells, threads)) continue
    Atomics.add(numbers, (user + USER_UNSPENT) / 2, BigInt(difference))
    return 1
  }
  return 0
}

/** Bytes of a user's quota that threads have taken and not published as moved. */
export function sumPrepaid(cells: Int32Array, threads: number, slot: number): number {
  const user = userStart(threads, slot)
  let sum = 0
  for (let thread = 0; thread < threads; thread++)
    sum += loadNumber(cells, user + rowOffset(thread) + ROW_PREPAID)
  return sum
}

function repairCell(cells: Int32Array, threads: number, cell: number, sum: () => number): number {
  for (let attempt = 0; attempt < REPAIR_ATTEMPTS; attempt++) {
    const before = sumSequences(cells, threads)
    const difference = sum() - Atomics.load(cells, cell)
    if (difference === 0) return 0
    if (before === null || before !== sumSequences(cells, threads)) continue
    Atomics.add(cells, cell, difference)
    return 1
  }
  return 0
}

/** null while a thread is at work; equal to an earlier sum if no thread was at work meanwhile. */
function sumSequences(cells: Int32Array, threads: number): number | null {
  let sum = 0
  for (let thread = 0; thread < threads; thread++) {
    const sequence = Atomics.load(cells, threadStart(thread) + THREAD_SEQUENCE)
    if (sequence % 2 !== 0) return null
    sum += sequence
  }
  return sum
}

function sumThreadLive(cells: Int32Array, threads: number): number {
  let sum = 0
  for (let thread = 0; thread < threads; thread++)
    sum += Atomics.load(cells, threadStart(thread) + THREAD_LIVE)
  return sum
}

/** Connections of a user by the rows of the threads. */
export function sumRowLive(cells: Int32Array, threads: number, slot: number): number {
  const user = userStart(threads, slot)
  let sum = 0
  for (let thread = 0; thread < threads; thread++)
    sum += Atomics.load(cells, user + rowOffset(thread) + ROW_LIVE)
  return sum
}
