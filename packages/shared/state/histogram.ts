/**
 * Latency histograms in shared memory: a row per thread with a single writer, summed by the primary when somebody asks.
 * They only rise, so a row outlives its thread: the next one goes on where it stopped.
 *
 *   Int64 cells, per series          | bucket 0 | … | bucket n-1 | above all | sum, µs |
 *   a row: the series of all histograms one after the other, padded to whole pairs of cache lines
 */
import { BugError, DIAL_CODES } from '../errors.ts'
import { combineLabels } from './layout.ts'

export interface HistogramDefinition {
  /** Without the operator's prefix; ends with the unit. */
  readonly name: string
  readonly help: string
  /** Label names with the closed list of their values. */
  readonly labels: Readonly<Record<string, readonly string[]>>
  /** Upper bounds of the buckets in seconds, rising; what is above the last one is counted too. */
  readonly buckets: readonly number[]
}

/** The table, as METRICS is of counters. */
export const HISTOGRAMS = [
  {
    name: 'dc_dial_seconds',
    help: 'Time from a session to an open connection to its data centre, or to the failure of all addresses.',
    labels: { outcome: ['ok', ...DIAL_CODES] },
    // A data centre is 1 to 300 ms away; 0.25 s is one stagger, 5 s the usual network.timeout.tcp.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  {
    name: 'hand_off_seconds',
    help: 'Time from the acceptance of a connection to its arrival at a worker thread.',
    labels: {},
    // 0.1 ms while the thread is idle; what takes longer is the time that it spends on others.
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
  },
] as const satisfies readonly HistogramDefinition[]

export type HistogramName = (typeof HISTOGRAMS)[number]['name']

/** One labelled histogram, and where it is counted. */
export interface HistogramSeries {
  readonly labels: Readonly<Record<string, string>>
  readonly buckets: readonly number[]
  /** Cell of the first bucket within a row. */
  readonly start: number
}

/** What was observed of one series. */
export interface HistogramValue {
  /** How many fell into each bucket, not cumulated; one more than there are bounds. */
  readonly counts: readonly number[]
  readonly sumSeconds: number
}

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface HistogramMemory {
  readonly buffer: SharedArrayBuffer
  /** One per worker thread (row index = thread), then the primary's (row index = workers). */
  readonly rows: number
}

/** 128 bytes: two cache lines, which the prefetcher loads as one; rows must not share them. */
const ROW_ALIGNMENT_CELLS = 16
const MICROSECONDS = 1e6

const placed = new Map<string, readonly HistogramSeries[]>()
const ROW_CELLS = Math.ceil(place() / ROW_ALIGNMENT_CELLS) * ROW_ALIGNMENT_CELLS

function place(): number {
  let next = 0
  for (const { name, labels, buckets } of HISTOGRAMS as readonly HistogramDefinition[]) {
    const cells = buckets.length + 2
    const series = combineLabels(labels).map((combination, at) => ({
      labels: combination,
      buckets,
      start: next + at * cells,
    }))
    placed.set(name, series)
    next += series.length * cells
  }
  return next
}

/** Memory for `workers` threads and the primary. */
export function createHistogramMemory(workers: number): HistogramMemory {
  const rows = workers + 1
  return { rows, buffer: new SharedArrayBuffer(rows * ROW_CELLS * BigInt64Array.BYTES_PER_ELEMENT) }
}

/** A series to observe into. Look it up once, not per event. Throws a BugError for what HISTOGRAMS does not have. */
export function histogram(
  name: HistogramName,
  labels: Readonly<Record<string, string>> = {},
): HistogramSeries {
  const wanted = Object.entries(labels)
  const found = placed.get(name)?.find((series) => {
    const isSame = wanted.every(([label, value]) => series.labels[label] === value)
    return isSame && Object.keys(series.labels).length === wanted.length
  })
  if (found === undefined) throw new BugError(`no such histogram: ${name} ${JSON.stringify(labels)}`)
  return found
}

/** Every series of a histogram. For exporters. */
export function listHistogramSeries(name: HistogramName): readonly HistogramSeries[] {
  return placed.get(name) ?? []
}

/** The writing side, one per thread. */
export class HistogramRow {
  readonly #cells: BigInt64Array
  readonly #start: number

  constructor(memory: HistogramMemory, row: number) {
    if (!Number.isInteger(row) || row < 0 || row >= memory.rows) {
      throw new BugError(`no such row of histograms: ${row} of ${memory.rows}`)
    }
    this.#cells = new BigInt64Array(memory.buffer)
    this.#start = row * ROW_CELLS
  }

  /** Once per connection, not per chunk; seen by others at once. */
  observe(series: HistogramSeries, seconds: number): void {
    const { buckets } = series
    let at = 0
    while (at < buckets.length && seconds > buckets[at]!) at++ // inside by the loop's bound
    const start = this.#start + series.start
    Atomics.add(this.#cells, start + at, 1n)
    const micros = Math.max(0, Math.round(seconds * MICROSECONDS))
    Atomics.add(this.#cells, start + buckets.length + 1, BigInt(micros))
  }
}

/** The reading side, in the primary. */
export class HistogramSums {
  readonly #memory: HistogramMemory
  readonly #cells: BigInt64Array

  constructor(memory: HistogramMemory) {
    this.#memory = memory
    this.#cells = new BigInt64Array(memory.buffer)
  }

  /** One series over all threads, living and dead. */
  read({ start, buckets }: HistogramSeries): HistogramValue {
    const counts = Array.from({ length: buckets.length + 1 }, (_, at) => this.#sum(start + at))
    return { counts, sumSeconds: this.#sum(start + buckets.length + 1) / MICROSECONDS }
  }

  #sum(cell: number): number {
    let sum = 0n
    for (let row = 0; row < this.#memory.rows; row++) {
      sum += Atomics.load(this.#cells, row * ROW_CELLS + cell)
    }
    return Number(sum)
  }
}
