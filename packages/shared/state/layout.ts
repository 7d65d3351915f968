/**
 * THE table of metrics: what is counted, under which name and labels, and in which slot of a thread's row. The shared
 * memory, the Prometheus exporter and the documentation are all read from it, so they cannot drift apart.
 */
import { CIPHER_NAMES } from '../config.ts'
import { DNS_TRANSPORTS, QUERY_OUTCOMES } from '../dial/dns/transport.ts'
import { BugError, HANDSHAKE_CODES, PROXY_HEADER_CODES } from '../errors.ts'
import { HANDSHAKE_LIMITS } from './handshakes.ts'

export type MetricKind = 'gauge' | 'counter'

export interface Metric {
  /** Without the operator's prefix. */
  readonly name: string
  readonly kind: MetricKind
  readonly help: string
  /** Label names with the closed list of their values, in the order an exporter shows them. */
  readonly labels: Readonly<Record<string, readonly string[]>>
  /** The series is kept per data-centre address too: labels `telegram_ip` and `dc` come before the others. */
  readonly perDcAddress: boolean
  /** Not summed but shown thread by thread, with the label `worker`. */
  readonly perWorker?: true
  /** What one of what is counted is worth; absent: 1. Rows hold whole numbers. */
  readonly unit?: number
}

/**
 * Addresses of data centres that can be told apart. The built-in table has 13; the operator's `[dc]` section may add
 * some. Every address costs 3 slots (24 bytes) a thread.
 */
export const MAX_DC_ADDRESSES = 256

/** As the log names them; `other` is an end by us: a shutdown, a user who was removed, a broken record. */
export const RELAY_ENDS = ['ended', 'client-error', 'far-error', 'idle', 'other', 'quota'] as const

const IP_FAMILY = ['ipv4', 'ipv6'] as const
const IP_LIST = ['allowlist', 'blocklist'] as const
/** Seen from the client (operator.md §7.1). */
const DIRECTION = ['to_client', 'from_client'] as const
export type TrafficDirection = (typeof DIRECTION)[number]

/** The reference's families (operator.md §7.1) first, then ours. Names, kinds and labels of the former are fixed. */
export const METRICS = [
  {
    name: 'client_connections',
    kind: 'gauge',
    help: 'Client connections in the hands of the worker threads, unauthenticated and fronted ones included.',
    labels: { ip_family: IP_FAMILY },
    perDcAddress: false,
  },
  {
    name: 'telegram_connections',
    kind: 'gauge',
    help: 'Connections to Telegram data centres.',
    labels: {},
    perDcAddress: true,
  },
  {
    name: 'domain_fronting_connections',
    kind: 'gauge',
    help: 'Client connections that are handed on to the fronting site.',
    labels: { ip_family: IP_FAMILY },
    perDcAddress: false,
  },
  {
    name: 'telegram_traffic',
    kind: 'counter',
    help: 'Bytes read from and written to Telegram data centres.',
    labels: { direction: DIRECTION },
    perDcAddress: true,
  },
  {
    name: 'domain_fronting_traffic',
    kind: 'counter',
    help: 'Bytes read from and written to fronting sites.',
    labels: { direction: DIRECTION },
    perDcAddress: false,
  },
  {
    name: 'domain_fronting',
    kind: 'counter',
    help: 'Decisions to hand a connection on to the fronting site.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'concurrency_limited',
    kind: 'counter',
    help: 'Connections closed at once because the concurrency limit was reached.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'replay_attacks',
    kind: 'counter',
    help: 'Client hellos that had been seen before.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'iplist_size',
    kind: 'gauge',
    help: 'Networks in an IP list. A disabled allowlist has two: all of IPv4 and all of IPv6.',
    labels: { ip_list: IP_LIST },
    perDcAddress: false,
  },
  {
    name: 'ip_blocklisted',
    kind: 'counter',
    help: 'Connections refused because the blocklist has their address, or the allowlist has it not.',
    labels: { ip_list: IP_LIST },
    perDcAddress: false,
  },
  {
    name: 'replay_set_evictions',
    kind: 'counter',
    help: 'Client hellos forgotten before their time because the replay set was full.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'handshakes',
    kind: 'counter',
    help: 'Client handshakes by the way they ended.',
    labels: { outcome: ['ok', ...HANDSHAKE_CODES] },
    perDcAddress: false,
  },
  {
    name: 'hand_offs_failed',
    kind: 'counter',
    help: 'Accepted connections that could not be given to a worker thread.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'accept_errors',
    kind: 'counter',
    help: 'Errors while accepting connections, such as running out of file descriptors.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'dc_dial_failures',
    kind: 'counter',
    help: 'Data centres that could not be reached at any address.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'state_save_failures',
    kind: 'counter',
    help: 'Attempts to write the state file that failed.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'worker_event_loop_utilization',
    kind: 'gauge',
    help: 'Part of the last ten seconds in which the worker thread was busy, 0 to 1.',
    labels: {},
    perDcAddress: false,
    perWorker: true,
    unit: 1e-6,
  },
  {
    name: 'worker_event_loop_delay_seconds',
    kind: 'gauge',
    help: 'Longest time in the last ten to twenty seconds for which the worker thread could not attend to its sockets.',
    labels: {},
    perDcAddress: false,
    perWorker: true,
    unit: 1e-6,
  },
  {
    name: 'iplist_update_failures',
    kind: 'counter',
    help: 'Sources of an IP list that could not be fetched or read; their last good copy stays.',
    labels: { ip_list: IP_LIST },
    perDcAddress: false,
  },
  {
    name: 'proxy_protocol',
    kind: 'counter',
    help: 'Connections that have to begin with a PROXY header, by what they began with.',
    labels: { outcome: ['v1', 'v2', 'local', ...PROXY_HEADER_CODES] },
    perDcAddress: false,
  },
  {
    name: 'dns_queries',
    kind: 'counter',
    help: 'Questions sent to a resolver, by the way they went and how they ended.',
    labels: { transport: DNS_TRANSPORTS, outcome: QUERY_OUTCOMES },
    perDcAddress: false,
  },
  {
    name: 'dns_cache_hits',
    kind: 'counter',
    help: 'Questions for addresses of names that were answered from memory.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'domain_fronting_failures',
    kind: 'counter',
    help: 'Fronting sites that could not be reached; the connection was closed.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'relays_ended',
    kind: 'counter',
    help: 'Relays by their other end and by who ended them.',
    labels: { to: ['telegram', 'site'], how: RELAY_ENDS },
    perDcAddress: false,
  },
  {
    name: 'dc_update_failures',
    kind: 'counter',
    help: 'Addresses of data centres that could not be fetched (auto-update); the last good ones stay.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'clock_steps',
    kind: 'counter',
    help: 'How often the system clock was seen to jump by a second or more.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'unfinished_handshakes',
    kind: 'gauge',
    help: 'Client connections that have not finished their handshake and are not fronted.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'handshakes_limited',
    kind: 'counter',
    help: 'Connections closed at once because too many had not finished their handshake, in all or from their address.',
    labels: { reason: HANDSHAKE_LIMITS },
    perDcAddress: false,
  },
  {
    name: 'descriptors_exhausted',
    kind: 'counter',
    help: 'Checks, four a second, that found next to no file descriptor free: clients that come then are closed unheard.',
    labels: {},
    perDcAddress: false,
  },
  {
    name: 'cipher_streams',
    kind: 'gauge',
    help: 'AES streams in use, by who does them: two for a relayed connection, four without fast-mode.',
    labels: { cipher: CIPHER_NAMES },
    perDcAddress: false,
  },
] as const satisfies readonly Metric[]

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
