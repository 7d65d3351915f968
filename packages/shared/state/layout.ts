/**
 * THE table of metrics: what is counted, under which name and labels (reference-metrics.ts, own-metrics.ts), and in
 * which slot of a thread's row. The shared memory, the Prometheus exporter and the documentation are all read from it, so
 * they cannot drift apart.
 */
import { BugError } from '../errors.ts'
import type { Metric } from './metric.ts'
import { OWN_METRICS } from './own-metrics.ts'
import { REFERENCE_METRICS, type TrafficDirection } from './reference-metrics.ts'

/**
 * Addresses of data centres that can be told apart. The built-in table has 13; the operator's `[dc]` section may add
 * some. Every address costs 3 slots (24 bytes) a thread.
 */
export const MAX_DC_ADDRESSES = 256

/** In the order of the slots and of what exporters show. */
export const METRICS = [...REFERENCE_METRICS, ...OWN_METRICS] as const

export type MetricName = (typeof METRICS)[number]['name']
export type DcMetricName = Extract<(typeof METRICS)[number], { perDcAddress: true }>['name']

/** One time series: the values of its labels, and where it is counted. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>
  readonly slot: number
}

interface Placed {
  readonly metric: Metric
  /** Every combination of the closed labels; of a metric per address, those of address 0. */
  readonly series: readonly Series[]
}

const placed = new Map<string, Placed>()
const slots = new Map<string, number>()

/** Slots of one row. */
export const SLOT_COUNT: number = place()

function place(): number {
  let next = 0
  for (const metric of METRICS) {
    const series = combineLabels(metric.labels).map((labels, at) => ({ labels, slot: next + at }))
    placed.set(metric.name, { metric, series })
    if (!metric.perDcAddress) {
      for (const { labels, slot } of series) slots.set(seriesKey(metric.name, labels), slot)
    }
    next += series.length * (metric.perDcAddress ? MAX_DC_ADDRESSES : 1)
  }
  return next
}

/** Every combination of the closed values of some labels. */
export function combineLabels(labels: Metric['labels']): readonly Record<string, string>[] {
  return Object.entries(labels).reduce<readonly Record<string, string>[]>(
    (combined, [name, values]) =>
      combined.flatMap((before) => values.map((value) => ({ ...before, [name]: value }))),
    [{}],
  )
}

function seriesKey(name: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${value}`)
  return `${name}{${pairs.sort().join(',')}}`
}

/** The slot of a series. Look it up once, not per event. Throws a BugError for a series that METRICS does not have. */
export function slot(name: MetricName, labels: Readonly<Record<string, string>> = {}): number {
  const key = seriesKey(name, labels)
  const found = slots.get(key)
  if (found === undefined) throw new BugError(`no such metric series: ${key}`)
  return found
}

/**
 * The slot of a series of one data-centre address. `addressIndex` is the position in the primary's list of addresses;
 * `direction` is for the metrics that have one. Throws a BugError for what METRICS does not have.
 */
export function dcSlot(name: DcMetricName, addressIndex: number, direction?: TrafficDirection): number {
  const family = placed.get(name)
  const at = family?.series.findIndex(({ labels }) => labels['direction'] === direction) ?? -1
  if (!family?.metric.perDcAddress || at < 0) {
    throw new BugError(`no such metric series: ${name} per data centre, direction ${direction}`)
  }
  if (!Number.isInteger(addressIndex) || addressIndex < 0 || addressIndex >= MAX_DC_ADDRESSES) {
    throw new BugError(`no such data-centre address: ${addressIndex} of at most ${MAX_DC_ADDRESSES}`)
  }
  return (family.series[0]?.slot ?? 0) + addressIndex * family.series.length + at
}

/** Every series of a metric with closed labels. For exporters. Empty for the metrics per data-centre address. */
export function listSeries(name: MetricName): readonly Series[] {
  const family = placed.get(name)
  return family === undefined || family.metric.perDcAddress ? [] : family.series
}

/** Every series of a metric for one data-centre address, its labels without `telegram_ip` and `dc`. For exporters. */
export function listDcSeries(name: DcMetricName, addressIndex: number): readonly Series[] {
  return (placed.get(name)?.series ?? []).map(({ labels }) => ({
    labels,
    slot: dcSlot(name, addressIndex, labels['direction'] as TrafficDirection | undefined), // the table's own value
  }))
}

/** By slot: 1 for a gauge, which dies with its thread; 0 for a counter, which outlives it. */
export function listGaugeSlots(): Uint8Array {
  const gauges = new Uint8Array(SLOT_COUNT)
  for (const { metric, series } of placed.values()) {
    if (metric.kind !== 'gauge') continue
    const first = series[0]?.slot ?? 0
    gauges.fill(1, first, first + series.length * (metric.perDcAddress ? MAX_DC_ADDRESSES : 1))
  }
  return gauges
}
