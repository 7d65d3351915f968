import type { StatsdTagFormat } from '#shared/config'
import type { MetricKind } from '#shared/state/metric'

import type { Sample, SampledFamily } from './families.ts'
import { buildLineFrame, formatValue, type LineFrame } from './statsd-line.ts'

/**
 * An unchanged gauge is sent again with every fifth flush. Telegraf and Datadog's agent forget a gauge of which they
 * heard nothing in their own interval, 10 s unless changed; and a server that was restarted knows none.
 */
export const FLUSHES_PER_REFRESH = 5

export type StatsdFamily = Pick<SampledFamily, 'name' | 'kind' | 'collect'>

export interface StatsdSeriesOptions {
  readonly tagFormat: StatsdTagFormat
  readonly metricPrefix: string
  /** Their series are bounded (decision O4), and so is what is kept here. */
  readonly families: readonly StatsdFamily[]
}

interface SentSeries {
  readonly kind: MetricKind
  readonly frame: LineFrame
  /** In which of the flushes it is refreshed: spread, so that a flush carries a fifth of the gauges that rest. */
  readonly turn: number
  /** What the server has been told: of a gauge its value, of a counter the sum. */
  sent: number
  seenInFlush: number
}

/** What the server knows of each series, and the lines that tell it the rest. */
export class StatsdSeries {
  readonly #options: StatsdSeriesOptions
  readonly #series: Map<string, SentSeries>
  #flush: number

  constructor(options: StatsdSeriesOptions) {
    this.#options = options
    this.#series = new Map()
    this.#flush = 0
  }

  /** What has changed since the lines before: counters by how much, gauges as they are. */
  collectLines(): string[] {
    return [...this.#collect(this.#options.families), ...this.#forgetGone()]
  }

  /**
   * The last lines: what the counters rose, and every gauge at 0, because the connections it spoke of are gone. A server
   * would show them for ever.
   */
  collectLastLines(): string[] {
    const lines = this.#collect(this.#options.families.filter(({ kind }) => kind === 'counter'))
    for (const { kind, frame } of this.#series.values())
      if (kind === 'gauge') lines.push(formatLine(frame, 0))
    return lines
  }

  #collect(families: readonly StatsdFamily[]): string[] {
    this.#flush += 1
    const lines: string[] = []
    for (const family of families) {
      for (const sample of family.collect()) {
        const series = this.#seriesOf(family, sample)
        series.seenInFlush = this.#flush
        const line = series.kind === 'counter' ? this.#count(series, sample) : this.#gauge(series, sample)
        if (line !== null) lines.push(line)
      }
    }
    return lines
  }

  #count(series: SentSeries, { value }: Sample): string | null {
    // A counter falls when users are reloaded: one is back within a second, or has left the sum of all others. To tell
    // the sum once more would be a flood that never was.
    const rise = value - series.sent
    series.sent = value
    return rise > 0 ? formatLine(series.frame, rise) : null
  }

  #gauge(series: SentSeries, { value }: Sample): string | null {
    // A sign would make it a change of the value before. Two threads that publish one after the other can make a -1.
    const absolute = Math.max(0, value)
    const isDue = (this.#flush + series.turn) % FLUSHES_PER_REFRESH === 0
    if (absolute === series.sent && !isDue) return null
    series.sent = absolute
    return formatLine(series.frame, absolute)
  }

  /** A gauge whose series is gone, with its user, is told to be 0 once. */
  #forgetGone(): string[] {
    const lines: string[] = []
    for (const [key, { kind, frame, seenInFlush }] of this.#series) {
      if (seenInFlush === this.#flush) continue
      if (kind === 'gauge') lines.push(formatLine(frame, 0))
      this.#series.delete(key)
    }
    return lines
  }

  #seriesOf({ name, kind }: StatsdFamily, { labels }: Sample): SentSeries {
    const key = [name, ...Object.values(labels)].join('\0')
    const known = this.#series.get(key)
    if (known !== undefined) return known
    const { tagFormat, metricPrefix } = this.#options
    const frame = buildLineFrame(tagFormat, { prefix: metricPrefix, name, kind, labels })
    const turn = this.#series.size % FLUSHES_PER_REFRESH
    // A gauge at 0 is told, too; a counter at 0 is not.
    const series = { kind, frame, turn, sent: kind === 'gauge' ? Number.NaN : 0, seenInFlush: 0 }
    this.#series.set(key, series)
    return series
  }
}

function formatLine({ before, after }: LineFrame, value: number): string {
  return `${before}${formatValue(value)}${after}`
}
