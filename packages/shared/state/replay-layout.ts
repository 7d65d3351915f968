/**
 * Where things stand in the replay set's memory. Offsets are in Int32 cells.
 *
 *   | lock | … | head | tail | evicted early | key (2) | … | bucket 0 … capacity-1 | entry 0 … capacity-1 |
 *
 *   bucket: number of the newest entry of the bucket, plus 1; 0 for none
 *   entry:  | random, 8 words | needed until, seconds | number of the next older entry of the bucket, plus 1 |
 *
 * Entries are numbered in order of arrival and stand in a ring: entry n at n mod capacity. Those from `tail` up to,
 * not including, `head` are in the set.
 */

export const LOCK = 0
/** On another cache line than the lock, which waiting threads keep reading. */
export const HEAD = 32
export const TAIL = 33
export const EVICTED_EARLY = 34
export const KEY = 35
export const BUCKETS_START = 64

export const RANDOM_BYTES = 32
export const RANDOM_WORDS = 8
export const ENTRY_NEEDED = 8
export const ENTRY_OLDER = 9
export const ENTRY_CELLS = 10

const HEADER_BYTES = BUCKETS_START * Int32Array.BYTES_PER_ELEMENT
/** 44 bytes: 32 of the random, 4 each for the time, the chain and the bucket. */
const BYTES_PER_ENTRY = (ENTRY_CELLS + 1) * Int32Array.BYTES_PER_ELEMENT

export const capacityOf = (sizeBytes: number): number =>
  Math.floor((sizeBytes - HEADER_BYTES) / BYTES_PER_ENTRY)
export const replayBytes = (capacity: number): number => HEADER_BYTES + capacity * BYTES_PER_ENTRY
export const entriesStart = (capacity: number): number => BUCKETS_START + capacity

/**
 * Numbers run from 0 up to this and begin again: a multiple of the capacity, so that the ring goes round evenly, and
 * small enough for an Int32 when 1 is added.
 */
export const numberRange = (capacity: number): number => Math.floor(0x7fff_fffe / capacity) * capacity
