/** How much of a quota was used, in which period: what outlives the process. */
import type { QuotaPeriod } from '#shared/config'
import { endOf, startOf } from './period.ts'

export interface QuotaUse {
  readonly period: QuotaPeriod
  /** Unix time: a period is known by its start. */
  readonly startMs: number
  readonly usedBytes: number
}

/** What two processes counted of one user. What belongs to a period before is over; of one period it is added up. */
export function mergeUse(a: QuotaUse, b: QuotaUse): QuotaUse {
  if (a.startMs !== b.startMs) return a.startMs > b.startMs ? a : b
  // Of the same start and another length: somebody has changed the configuration. More is known for the longer one.
  if (a.period !== b.period) return endOf(a.period, a.startMs) > endOf(b.period, b.startMs) ? a : b
  return { ...a, usedBytes: Math.min(a.usedBytes + b.usedBytes, Number.MAX_SAFE_INTEGER) }
}

/** What has come since; undefined for nothing. */
export function subtractUse(now: QuotaUse, before: QuotaUse | undefined): QuotaUse | undefined {
  const isSame = before !== undefined && now.period === before.period && now.startMs === before.startMs
  const usedBytes = isSame ? now.usedBytes - before.usedBytes : now.usedBytes
  return usedBytes > 0 ? { ...now, usedBytes } : undefined
}

/** A period from which nothing is known, and in which nothing was used. */
export function beginUse(period: QuotaPeriod, unixMs: number): QuotaUse {
  return { period, startMs: startOf(period, unixMs), usedBytes: 0 }
}

/**
 * What counts of it now, in the period of this kind. Of another kind it counts if the period now holds all of that one:
 * from a month to a day one cannot tell what was today, from a day to a month it was all in this month.
 */
export function carryUse(use: QuotaUse, period: QuotaPeriod, unixMs: number): QuotaUse {
  const fresh = beginUse(period, unixMs)
  if (use.period !== period)
    return use.startMs < fresh.startMs ? fresh : { ...fresh, usedBytes: use.usedBytes }
  // A start to come: the clock was set back. See `judgeStart`.
  return use.startMs < fresh.startMs ? fresh : use
}

/** How long a clock may stand before the start of a period that has begun, until the clock is believed. */
const DISBELIEF_MS = 3_600_000

/**
 * What the clock says of a period that had begun when it was looked at last.
 * @param behindMs for how long, by another clock, this one has been before the start of the period
 * @returns `over`: the next one has begun; `wrong`: it never began, for the clock was ahead then, and is right now
 */
export function judgeStart(
  { period, startMs }: Pick<QuotaUse, 'period' | 'startMs'>,
  unixMs: number,
  behindMs: number,
): 'goes-on' | 'over' | 'wrong' {
  const currentMs = startOf(period, unixMs)
  if (currentMs >= startMs) return currentMs === startMs ? 'goes-on' : 'over'
  // Set back over the turn of a period: that will come again, and must not renew the quota twice. Further back, one of
  // the two was far off: the clock before, or this one that has not found a time server yet after the start.
  return endOf(period, currentMs) < startMs && behindMs >= DISBELIEF_MS ? 'wrong' : 'goes-on'
}
