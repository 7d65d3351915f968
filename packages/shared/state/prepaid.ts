/**
 * Quotas over several threads (decision O13): a thread takes bytes of a user's quota in advance and pays from these what
 * the user moves, so that it looks at shared memory once per slice and not once per chunk.
 */
import { USER_QUOTA, USER_UNSPENT } from './ledger-layout.ts'
import { isUsedUp, markUsedUp, NO_QUOTA } from './quota-state.ts'

/** What one thread may hold back from the others at the end of a quota; at 1 GB/s a thousand looks a second. */
export const MAX_SLICE_BYTES: number = 1024 * 1024
/** Below this, slices would be as small as chunks. */
export const MIN_SLICE_BYTES: number = 64 * 1024
/** So many slices for each thread are always left, so that all of them come to the end together. */
const SLICES_PER_THREAD = 8

/**
 * How much to take of what is left: at least what is needed, unless there is less.
 * @param unspent may be below 0
 */
export function sizeSlice(unspent: number, neededBytes: number, threads: number): number {
  const fair = Math.floor(unspent / (threads * SLICES_PER_THREAD))
  const slice = Math.max(neededBytes, Math.min(MAX_SLICE_BYTES, Math.max(MIN_SLICE_BYTES, fair)))
  return Math.max(0, Math.min(slice, unspent))
}

/**
 * Take a slice. Of all threads that ask at once nobody gets what another one has.
 * @param cells the ledger's memory, `numbers` the same as Int64
 * @param user where the user stands in it
 * @returns at least `neededBytes`; less, which may be nothing, when the quota is used up now; Infinity without a quota
 */
export function takeSlice(
  cells: Int32Array,
  numbers: BigInt64Array,
  user: number,
  neededBytes: number,
  threads: number,
): number {
  const at = (user + USER_UNSPENT) / 2
  let taken = 0
  for (;;) {
    // Before what is left: see quota-state.ts.
    const state = Atomics.load(cells, user + USER_QUOTA)
    if (state === NO_QUOTA) return Infinity
    if (isUsedUp(state)) return taken
    const unspent = Atomics.load(numbers, at)
    const slice = sizeSlice(Number(unspent), neededBytes - taken, threads)
    if (slice > 0 && Atomics.compareExchange(numbers, at, unspent, unspent - BigInt(slice)) !== unspent)
      continue
    taken += slice
    if (taken >= neededBytes) return taken
    if (Atomics.compareExchange(cells, user + USER_QUOTA, state, markUsedUp(state)) === state) return taken
  }
}
