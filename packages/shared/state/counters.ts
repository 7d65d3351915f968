/**
 * Counters in shared memory (decision O10): a row per thread with a single writer, summed by the primary when somebody
 * asks. BigInt64 cells, because only Atomics on integers promise that a 64-bit number is never seen half written.
 *
 *   Int64 cells                                   one row, padded to whole pairs of cache lines
 *   | row 0 | … | row workers | retired row |     | closed | places (2 × Int32) | beats | slot 0 … slot SLOT_COUNT-1 | pad |
 */
import { BugError } from '../errors.ts'
import { listGaugeSlots, SLOT_COUNT } from './layout.ts'

const CLOSED = 0
const PLACES = 1
const BEATS = 2
const FIRST_SLOT = 3
/** 128 bytes: two cache lines, which the prefetcher loads as one; rows must not share them. */
const ROW_ALIGNMENT_CELLS = 16
const ROW_CELLS = Math.ceil((FIRST_SLOT + SLOT_COUNT) / ROW_ALIGNMENT_CELLS) * ROW_ALIGNMENT_CELLS

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface CountersMemory {
  readonly buffer: SharedArrayBuffer
  /** Rows with a writer: one per worker thread (row index = thread), then the primary's (row index = workers). */
  readonly rows: number
}

/** Memory for `workers` threads, the primary, and what dead threads left. */
export function createCountersMemory(workers: number): CountersMemory {
  const rows = workers + 1
  return { rows, buffer: new SharedArrayBuffer((rows + 1) * ROW_CELLS * BigInt64Array.BYTES_PER_ELEMENT) }
}

function rowStart(memory: CountersMemory, row: number): number {
  if (!Number.isInteger(row) || row < 0 || row >= memory.rows) {
    throw new BugError(`no such row of counters: ${row} of ${memory.rows}`)
  }
  return row * ROW_CELLS
}

/** The writing side, one per thread. A row begins at zero: `CounterSums.retire` emptied it after the thread before. */
export class CounterRow {
  readonly #cells: BigInt64Array
  readonly #start: number
  readonly #values: Float64Array
  readonly #published: Float64Array

  constructor(memory: CountersMemory, row: number) {
    this.#start = rowStart(memory, row)
    this.#cells = new BigInt64Array(memory.buffer)
    this.#values = new Float64Array(SLOT_COUNT)
    this.#published = new Float64Array(SLOT_COUNT)
  }

  /** Hot: a plain addition, seen by others after the next `publish`. `slot` is from layout.ts, `n` a whole number. */
  add(slot: number, n: number): void {
    this.#values[slot]! += n // slots come from layout.ts alone and are always inside
  }

  /** A gauge of which this thread alone knows the value, a whole number. */
  set(slot: number, value: number): void {
    this.#values[slot] = value
  }

  /** Let others see what has changed, and that the thread lives. To be called four times a second and before it ends. */
  publish(): void {
    Atomics.add(this.#cells, this.#start + BEATS, 1n)
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const value = this.#values[slot]! // inside by the loop's bounds
      if (value === this.#published[slot]) continue
      Atomics.store(this.#cells, this.#start + FIRST_SLOT + slot, BigInt(value))
      this.#published[slot] = value
    }
  }

  /** One connection has ended. Seen at once, because the primary places connections by what is handed over less this. */
  addClosed(): void {
    Atomics.add(this.#cells, this.#start + CLOSED, 1n)
  }
}

/** The reading side, in the primary. */
export class CounterSums {
  readonly #memory: CountersMemory
  readonly #cells: BigInt64Array
  readonly #gauges: Uint8Array

  constructor(memory: CountersMemory) {
    this.#memory = memory
    this.#cells = new BigInt64Array(memory.buffer)
    this.#gauges = listGaugeSlots()
  }

  /** One slot over all threads, living and dead, as of their last `publish`. */
  sum(slot: number): number {
    let sum = 0n
    for (let row = 0; row <= this.#memory.rows; row++) {
      sum += Atomics.load(this.#cells, row * ROW_CELLS + FIRST_SLOT + slot)
    }
    return Number(sum)
  }

  /** One slot of one row. */
  read(row: number, slot: number): number {
    return Number(Atomics.load(this.#cells, rowStart(this.#memory, row) + FIRST_SLOT + slot))
  }

  /** How often this row was published, by this thread and those before it. Only ever grows. */
  beats(row: number): bigint {
    return Atomics.load(this.#cells, rowStart(this.#memory, row) + BEATS)
  }

  /** Rows of worker threads; the primary's comes behind them. */
  get workers(): number {
    return this.#memory.rows - 1
  }

  /** Every slot over all threads, by slot. */
  readAll(): Float64Array {
    return Float64Array.from({ length: SLOT_COUNT }, (_, slot) => this.sum(slot))
  }

  /** Connections that the thread of this row has ended since the row was last retired. */
  closed(row: number): number {
    return Number(Atomics.load(this.#cells, rowStart(this.#memory, row) + CLOSED))
  }

  /** Connections that the thread of this row has accepted by itself and holds. */
  accepted(row: number): number {
    return Atomics.load(
      new Int32Array(this.#memory.buffer),
      placeCell(rowStart(this.#memory, row), 'accepted'),
    )
  }

  /**
   * The thread of this row is dead: its counters are kept in the retired row, its gauges, its closed count and its
   * places of limits are gone. Call it before the thread is replaced.
   */
  retire(row: number): void {
    const start = rowStart(this.#memory, row)
    const retired = this.#memory.rows * ROW_CELLS + FIRST_SLOT
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const value = Atomics.exchange(this.#cells, start + FIRST_SLOT + slot, 0n)
      if (this.#gauges[slot] === 0 && value !== 0n) Atomics.add(this.#cells, retired + slot, value)
    }
    Atomics.store(this.#cells, start + CLOSED, 0n)
    Atomics.store(this.#cells, start + PLACES, 0n)
  }
}

/** Limits over all threads, each counted in one half of an Int64 cell. */
const PLACE_HALVES = { fronting: 0, accepted: 1 } as const
/**
 * `fronting`: connections handed on to the fronting site (decision W16). `accepted`: connections that the threads have
 * accepted by themselves (`reuse-port`), held against `concurrency`.
 */
export type PlaceKind = keyof typeof PLACE_HALVES

/**
 * Take a place, of `limit` over all threads. Each thread counts its own places and claims one before it adds up
 * everybody's: of the claims that are held at any moment the last one saw all the others, so there is never one too
 * many, and a thread that dies leaves nothing behind but its own count.
 */
export function takePlace(memory: CountersMemory, kind: PlaceKind, row: number, limit: number): boolean {
  const cells = new Int32Array(memory.buffer)
  const own = placeCell(rowStart(memory, row), kind)
  for (let attempt = 0; attempt < PLACE_ATTEMPTS; attempt++) {
    if (sumPlaces(memory, cells, kind) >= limit) return false
    Atomics.add(cells, own, 1)
    if (sumPlaces(memory, cells, kind) <= limit) return true
    Atomics.sub(cells, own, 1)
  }
  return false
}

/** Give a place back. */
export function leavePlace(memory: CountersMemory, kind: PlaceKind, row: number): void {
  Atomics.sub(new Int32Array(memory.buffer), placeCell(rowStart(memory, row), kind), 1)
}

/** Threads that claim the last place together all withdraw and try again; after this many times there is none. */
const PLACE_ATTEMPTS = 16

const placeCell = (start: number, kind: PlaceKind): number => (start + PLACES) * 2 + PLACE_HALVES[kind]

function sumPlaces(memory: CountersMemory, cells: Int32Array, kind: PlaceKind): number {
  let sum = 0
  for (let row = 0; row < memory.rows; row++) sum += Atomics.load(cells, placeCell(row * ROW_CELLS, kind))
  return sum
}
