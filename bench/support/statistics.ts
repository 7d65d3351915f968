/** The value below which this share of the values lies, interpolated; NaN of none. The values need no order. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  const at = share * (sorted.length - 1)
  const lower = sorted[Math.floor(at)] ?? Number.NaN
  const upper = sorted[Math.ceil(at)] ?? Number.NaN
  return lower + (upper - lower) * (at - Math.floor(at))
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export function spread(values: readonly number[]): Spread {
  return { min: quantile(values, 0), median: median(values), max: quantile(values, 1) }
}

/** Of run by run: what hit both halves of a pair does not count. */
export function spreadOfRatios(values: readonly number[], bases: readonly number[]): Spread {
  return spread(values.map((value, at) => value / (bases[at] ?? Number.NaN)))
}

/** Four digits: what is measured has no more. */
export function round(value: number): number {
  return Number(value.toPrecision(4))
}
