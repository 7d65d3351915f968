import type { Metric, Registry } from 'prom-client'
import {
  listHistogramSeries,
  type HistogramDefinition,
  type HistogramName,
  type HistogramSeries,
  type HistogramSums,
} from '#shared/state/histogram'

interface Sample {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/**
 * Show a histogram of shared memory. The library's own can only be observed into, one value at a time, and ours are sums
 * already: what it asks of a metric when somebody scrapes is a name and `get`.
 */
export function registerHistogram(
  registry: Registry,
  prefix: string,
  definition: HistogramDefinition & { readonly name: HistogramName },
  sums: HistogramSums,
): void {
  const name = `${prefix}_${definition.name}`
  const get = async (): Promise<object> => ({
    name,
    help: definition.help,
    type: 'histogram',
    values: listHistogramSeries(definition.name).flatMap((series) => listSamples(name, series, sums)),
  })
  // The type wants the whole class; the registry uses these two.
  registry.registerMetric({ name, get } as unknown as Metric)
}

/** Nothing for a series with labels that was never used. */
function listSamples(name: string, series: HistogramSeries, sums: HistogramSums): readonly Sample[] {
  const { counts, sumSeconds } = sums.read(series)
  const { labels, buckets } = series
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0 && Object.keys(labels).length > 0) return []
  let below = 0
  const samples: Sample[] = counts.map((count, at) => {
    below += count
    return { metricName: `${name}_bucket`, labels: { ...labels, le: buckets[at] ?? '+Inf' }, value: below }
  })
  samples.push({ metricName: `${name}_sum`, labels, value: sumSeconds })
  samples.push({ metricName: `${name}_count`, labels, value: total })
  return samples
}
