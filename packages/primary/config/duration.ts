import { type Decoder, fail } from './decoders.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y
/** Timers of Node count in 32 bits: a longer delay would fire at once. */
export const MAX_DURATION_MS: number = 2 ** 31 - 1

/** Milliseconds of `"5s"`, `"1h30m"`, `"1 H"` or `"0"`, rounded up; undefined if it is none (operator.md §1.2). */
export function parseDurationMs(text: string): number | undefined {
  const compact = text.replace(/[ \t]/g, '').toLowerCase()
  if (compact === '0') return 0
  let sumMs = 0
  let at = 0
  while (at < compact.length) {
    PART.lastIndex = at
    const part = PART.exec(compact)
    if (part === null) return undefined
    sumMs += Number(part[1]) * (UNIT_MS[part[2] ?? ''] ?? Number.NaN)
    at = PART.lastIndex
  }
  // Sums of decimal fractions carry an error in the last binary places: 0.1s is not to become 101 ms.
  return at === 0 ? undefined : Math.ceil(Number(sumMs.toFixed(6)))
}

/** Durations in milliseconds. `min` is 1 where no time at all would break every connection. */
export function decodeDurationMs(min: 0 | 1): Decoder<number> {
  return (found) => {
    const valueMs = typeof found === 'string' ? parseDurationMs(found) : undefined
    if (valueMs === undefined) return fail('expected a duration with its unit, such as "5s", "1m30s" or "2h"')
    if (valueMs < min) return fail('expected a duration above 0, such as "5s"')
    if (valueMs > MAX_DURATION_MS) return fail('expected a duration of at most 24 days ("576h")')
    return { ok: true, value: valueMs }
  }
}
