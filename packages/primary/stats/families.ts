/** The families of layout.ts as exporters see them: the series that have been used, with what they add up to now. */
import type { DcAddress } from '#shared/dc'
import type { CounterSums } from '#shared/state/counters'
import {
  listDcSeries,
  listSeries,
  MAX_DC_ADDRESSES,
  type METRICS,
  type Metric,
  type MetricKind,
  type Series,
} from '#shared/state/layout'

export interface Sample {
  /** In the order in which an exporter shows them. */
  readonly labels: Readonly<Record<string, string>>
  /** Now: of a counter, everything since the start. */
  readonly value: number
}

/** What an exporter needs to know of a metric. */
export interface SampledFamily {
  /** Without the operator's prefix. */
  readonly name: string
  readonly kind: MetricKind
  collect(): readonly Sample[]
}

type MetricDefinition = (typeof METRICS)[number]

/** The series of one metric that have been used: those with labels do not exist before (operator.md §7.2). */
export class Family implements SampledFamily {
  readonly name: string
  readonly kind: MetricKind
  readonly labelNames: string[]
  readonly #metric: MetricDefinition
  readonly #sums: CounterSums
  readonly #dcAddresses: () => readonly DcAddress[]
  readonly #used: Set<number>

  constructor(metric: MetricDefinition, sums: CounterSums, dcAddresses: () => readonly DcAddress[]) {
    const { labels, perDcAddress }: Metric = metric
    this.name = metric.name
    this.kind = metric.kind
    this.labelNames = [...(perDcAddress ? ['telegram_ip', 'dc'] : []), ...Object.keys(labels)]
    this.#metric = metric
    this.#sums = sums
    this.#dcAddresses = dcAddresses
    this.#used = new Set()
  }

  collect(): Sample[] {
    return this.#listSeries().flatMap(({ labels, slot }) => {
      const value = this.#sums.sum(slot)
      if (value !== 0) this.#used.add(slot)
      return this.#used.has(slot) || this.labelNames.length === 0 ? [{ labels, value }] : []
    })
  }

  #listSeries(): readonly Series[] {
    const metric = this.#metric
    if (!metric.perDcAddress) return listSeries(metric.name)
    return this.#dcAddresses()
      .slice(0, MAX_DC_ADDRESSES)
      .flatMap(({ ip, dc }, index) =>
        listDcSeries(metric.name, index).map(({ labels, slot }) => ({
          labels: { telegram_ip: ip, dc: String(Math.abs(dc)), ...labels },
          slot,
        })),
      )
  }
}
