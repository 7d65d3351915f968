import type { Spread } from './statistics.ts'

/** Whether one processor time of one test has become worse. */
export interface Verdict {
  readonly test: string
  readonly figure: string
  /** New to old, pair by pair. */
  readonly ratio: Spread
  readonly isWorse: boolean
}

/** The median counts. What could not be measured has not passed. */
export function judge(test: string, figure: string, ratio: Spread | undefined, limit: number): Verdict {
  const known = ratio ?? { min: Number.NaN, median: Number.NaN, max: Number.NaN }
  return { test, figure, ratio: known, isWorse: !(known.median <= limit) }
}

export function describeVerdict({ test, figure, ratio, isWorse }: Verdict): string {
  const numbers = [ratio.min, ratio.median, ratio.max].map((each) => each.toFixed(2).padStart(6)).join(' ')
  return `${`${test}: ${figure}`.padEnd(60)} ${numbers}${isWorse ? '  WORSE' : ''}`
}
