/**
 * Lines of the StatsD protocol with tags (operator.md §7.3, decision O5). One line is one number of one series:
 *
 *   datadog    mtg.telegram_traffic:30|c|#telegram_ip:2001:67c:4e8:f002::a,dc:2
 *   influxdb   mtg.telegram_traffic,telegram_ip=2001-67c-4e8-f002--a,dc=2:30|c
 *   graphite   mtg.telegram_traffic;telegram_ip=2001-67c-4e8-f002--a;dc=2:30|c
 */
import { isIPv6 } from 'node:net'

import type { StatsdTagFormat } from '#shared/config'
import type { MetricKind } from '#shared/state/metric'

/** What surrounds the number of a series. Built once per series, used for each of its lines. */
export interface LineFrame {
  readonly before: string
  readonly after: string
}

export interface SeriesName {
  readonly prefix: string
  /** Of the metric, without the prefix. */
  readonly name: string
  readonly kind: MetricKind
  readonly labels: Readonly<Record<string, string>>
}

const TYPE = { counter: 'c', gauge: 'g' } as const satisfies Record<MetricKind, string>

export function buildLineFrame(format: StatsdTagFormat, series: SeriesName): LineFrame {
  const name = `${series.prefix}.${series.name}`
  const type = `|${TYPE[series.kind]}`
  const tags = Object.entries(series.labels).map(
    ([label, value]) => [label, escapeTagValue(format, value)] as const,
  )
  if (tags.length === 0) return { before: `${name}:`, after: type }
  switch (format) {
    case 'datadog':
      return { before: `${name}:`, after: `${type}|#${tags.map((tag) => tag.join(':')).join(',')}` }
    case 'influxdb':
      return { before: `${[name, ...tags.map((tag) => tag.join('='))].join(',')}:`, after: type }
    case 'graphite':
      return { before: `${[name, ...tags.map((tag) => tag.join('='))].join(';')}:`, after: type }
  }
}

/**
 * What a server of the format takes as it is. The first colon ends a metric's name in influxdb and graphite; only in
 * datadog, where the tags come last, a value may contain some. Graphite's own server drops everything but these.
 */
const UNSAFE = {
  datadog: /[^\p{L}\p{M}\p{N}_\-./:]/gu,
  influxdb: /[^\p{L}\p{M}\p{N}_\-./]/gu,
  graphite: /[^A-Za-z0-9_\-.]/gu,
} as const satisfies Record<StatsdTagFormat, RegExp>

/**
 * Any text as the value of a tag. The colons of an IPv6 address become hyphens where there can be none; everything else
 * that a server would trip over is percent-encoded, as in a URL, so that two values never become one.
 */
export function escapeTagValue(format: StatsdTagFormat, value: string): string {
  if (value === '') return '%' // an empty value is no value in influxdb and graphite
  if (format !== 'datadog' && isIPv6(value)) return escapeText(format, value.replaceAll(':', '-'))
  return escapeText(format, value)
}

function escapeText(format: StatsdTagFormat, text: string): string {
  return text.replace(UNSAFE[format], (character) =>
    Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&'),
  )
}

/** Six digits of a fraction are a microsecond, which is finer than anything we measure; servers do not all read `1e-7`. */
export function formatValue(value: number): string {
  return String(Number(value.toFixed(6)))
}

/**
 * Lines in as few datagrams as it takes, in their order.
 * @param maxBytes of one datagram; a line that is longer by itself is left out, and counted in `dropped`
 */
export function packLines(
  lines: readonly string[],
  maxBytes: number,
): { datagrams: string[]; dropped: number } {
  const datagrams: string[] = []
  let dropped = 0
  let datagram = ''
  let bytes = 0
  for (const line of lines) {
    const lineBytes = Buffer.byteLength(line)
    if (lineBytes > maxBytes) {
      dropped += 1
    } else if (bytes > 0 && bytes + 1 + lineBytes <= maxBytes) {
      datagram += `\n${line}`
      bytes += 1 + lineBytes
    } else {
      if (bytes > 0) datagrams.push(datagram)
      datagram = line
      bytes = lineBytes
    }
  }
  if (bytes > 0) datagrams.push(datagram)
  return { datagrams, dropped }
}
