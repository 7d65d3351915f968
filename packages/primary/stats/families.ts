/** The families of the table of metrics as exporters see them: the series that have been used, with what they add up to now. */
import type { DcAddress } from '#shared/dc'
import type { CounterSums } from '#shared/state/counters'
import { listDcSeries, listSeries, MAX_DC_ADDRESSES, METRICS, type Series } from '#shared/state/layout'
import type { Metric, MetricKind } from '#shared/state/metric'

export interface Sample {
  /** In the order in which an exporter shows them. */
  readonly labels: Readonly<Record<string, string>>
  /** Now: of a counter, everything since the start. */
  readonly value: number
}

/** What an exporter needs to know of a metric. Collected when somebody scrapes. */
export interface SampledFamily {
  /** Without the operator's prefix. */
  readonly name: string
  readonly kind: MetricKind
  readonly help: string
  readonly labelNames: readonly string[]
  collect(): readonly Sample[]
}

/** A gauge without labels; null while there is nothing to show. */
export function buildGauge(name: string, help: string, read: () => number | null): SampledFamily {
  return {
    name,
    kind: 'gauge',
    help,
    labelNames: [],
    collect: () => {
      const value = read()
      return value === null ? [] : [{ labels: {}, value }]
    },
  }
}

/** The families of layout.ts, and those of the threads. */
export function listCountedFamilies(
  sums: CounterSums,
  dcAddresses: () => readonly DcAddress[],
): readonly SampledFamily[] {
  return METRICS.map((metric) => new Family(metric, sums, dcAddresses))
}

type MetricDefinition = (typeof METRICS)[number]

/** The series of one metric that have been used: those with labels do not exist before (operator.md §7.2). */
class Family implements SampledFamily {
  readonly name: string
  readonly kind: MetricKind
  readonly help: string
  readonly labelNames: readonly string[]
  readonly #metric: MetricDefinition
  readonly #sums: CounterSums
  readonly #dcAddresses: () => readonly DcAddress[]
  readonly #used: Set<number>

  constructor(metric: MetricDefinition, sums: CounterSums, dcAddresses: () => readonly DcAddress[]) {
    const { labels, perDcAddress, perWorker }: Metric = metric
    this.name = metric.name
    this.kind = metric.kind
    this.help = metric.help
    this.labelNames = [
      ...(perDcAddress ? ['telegram_ip', 'dc'] : []),
      ...(perWorker ? ['worker'] : []),
      ...Object.keys(labels),
    ]
    this.#metric = metric
    this.#sums = sums
    this.#dcAddresses = dcAddresses
    this.#used = new Set()
  }

  collect(): readonly Sample[] {
    const { perWorker, unit = 1 }: Metric = this.#metric
    if (perWorker) return this.#collectByWorker(unit)
    return this.#listSeries().flatMap(({ labels, slot }) => {
      const value = this.#sums.sum(slot)
      if (value !== 0) this.#used.add(slot)
      return this.#used.has(slot) || this.labelNames.length === 0 ? [{ labels, value }] : []
    })
  }

  #collectByWorker(unit: number): readonly Sample[] {
    const workers = Array.from({ length: this.#sums.workers }, (_, worker) => worker)
    return listSeries(this.#metric.name).flatMap(({ labels, slot }) =>
      workers.map((worker) => ({
        labels: { worker: String(worker), ...labels },
        value: this.#sums.read(worker, slot) * unit,
      })),
    )
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
