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
/** 596 hours, for timers of Node count milliseconds in 31 bits: a longer delay would fire at once. */
export const MAX_DURATION_MS: number = 596 * 3_600_000

/** Milliseconds of `"5s"`, `"1h30m"`, `"1 H"` or `"0"`, rounded up; undefined if it is none (operator.md §1.2). */
export function parseDurationMs(text: string): number | undefined {
  const compact = text.replace(/[ \t]/g, '').toLowerCase().replace(/^\+/, '')
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

/** Durations in milliseconds. What is longer than timers can wait is lowered, with a notice. */
export const decodeDurationMs: Decoder<number> = (found) => {
  const valueMs = typeof found === 'string' ? parseDurationMs(found) : undefined
  if (valueMs === undefined) return fail('expected a duration with its unit, such as "5s", "1m30s" or "2h"')
  if (valueMs <= MAX_DURATION_MS) return { ok: true, value: valueMs }
  const notice = `lowered to ${formatDuration(MAX_DURATION_MS)}, the longest there is`
  return { ok: true, value: MAX_DURATION_MS, notice }
}

/** `5s`, `1m30s`, `24h`: what {@link parseDurationMs} reads back as the same. */
export function formatDuration(durationMs: number): string {
  let text = ''
  let restMs = durationMs
  for (const [unit, unitMs] of SHOWN_UNITS) {
    const count = Math.floor(restMs / unitMs)
    if (count > 0) text += `${count}${unit}`
    restMs -= count * unitMs
  }
  return text === '' ? '0s' : text
}

const SHOWN_UNITS = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const
