/**
 * Where things stand in the user ledger's memory (decision O10). Offsets are in Int32 cells: what admission decides on
 * are small counts, and Atomics on BigInt64 would allocate a BigInt each time. Byte counts and times are Int64.
 *
 *   | total | … | limit | fair | decisions | … | thread 0 | thread 1 | … | user 0 | user 1 | … grows …
 *
 *   thread: | sequence | live | pad to 128 bytes |
 *   user:   | live | cap | generation | version | refusals by reason … | quota | unspent (64) | row of thread 0 | … |
 *   row:    | live | pad | bytesIn (64) | bytesOut (64) | lastSeenMs (64) | prepaid (64) |
 *
 * User by user, so that the memory can grow while every offset stays where it is.
 */

/** Connections of all users. On a cache line of its own: every admission of every thread writes it. */
export const TOTAL = 0
/** What the throttle allows in total; NO_LIMIT for everything. */
export const LIMIT = 32
/** Who holds at least this many is not admitted at or over the limit (decision O14); NO_LIMIT: not computed yet. */
export const FAIR = 33
/** How many more decisions the level is good for. Beside it on purpose: they are read and written together. */
export const FAIR_DECISIONS = 34

const THREADS_START = 64
/** 128 bytes: threads must not share a cache line for what they write per connection. */
const THREAD_CELLS = 32
/** Odd while the thread is between the first and the last write of an admission or a departure. */
export const THREAD_SEQUENCE = 0
/** Connections of this thread, all users. */
export const THREAD_LIVE = 1

export const USER_LIVE = 0
export const USER_CAP = 1
/** 0 for a slot without a user. */
export const USER_GENERATION = 2
/** Rises after any row of the user was written, so that the primary reads only what has changed. */
export const USER_VERSION = 3
/** Refusals, in the order of REFUSALS. They are rare: all threads count in the same cells. */
export const USER_REFUSED = 4
/** Why a user who proved a key is not admitted. Also the `reason` label of the refusal counter. */
export const REFUSALS = ['cap', 'fair-share', 'quota'] as const
export type Refusal = (typeof REFUSALS)[number]
/** What the user's quota is at, see quota-state.ts. */
export const USER_QUOTA = 7
/** Bytes of the quota that no thread has taken yet. Below 0 when more was moved than there was. */
export const USER_UNSPENT = 8
const USER_HEAD_CELLS = 10

export const ROW_LIVE = 0
export const ROW_BYTES_IN = 2
export const ROW_BYTES_OUT = 4
export const ROW_LAST_SEEN = 6
/** Bytes of the quota that the thread has taken and not published as moved. */
export const ROW_PREPAID = 8
const ROW_CELLS = 10

export const NO_LIMIT = 0x7fff_ffff

export const threadStart = (thread: number): number => THREADS_START + thread * THREAD_CELLS
export const userCells = (threads: number): number => USER_HEAD_CELLS + threads * ROW_CELLS
export const userStart = (threads: number, slot: number): number =>
  threadStart(threads) + slot * userCells(threads)
/** From the start of the user. */
export const rowOffset = (thread: number): number => USER_HEAD_CELLS + thread * ROW_CELLS

export const ledgerBytes = (threads: number, users: number): number =>
  userStart(threads, users) * Int32Array.BYTES_PER_ELEMENT

/** Users for whom there is memory now. */
export const committedUsers = (buffer: SharedArrayBuffer, threads: number): number =>
  Math.floor((buffer.byteLength / Int32Array.BYTES_PER_ELEMENT - userStart(threads, 0)) / userCells(threads))
