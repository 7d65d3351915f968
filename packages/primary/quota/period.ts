/** Periods of quotas by the calendar. UTC has neither summer time nor gaps, so that all of this is plain arithmetic. */
import type { QuotaPeriod } from '#shared/config'

const DAY_MS = 86_400_000
/** 1970-01-05, the first Monday of Unix time. */
const FIRST_MONDAY_MS = 4 * DAY_MS
const WEEK_MS = 7 * DAY_MS

/** When the period began that this Unix time is in. */
export function startOf(period: QuotaPeriod, unixMs: number): number {
  switch (period) {
    case 'day':
      return Math.floor(unixMs / DAY_MS) * DAY_MS
    case 'week':
      return Math.floor((unixMs - FIRST_MONDAY_MS) / WEEK_MS) * WEEK_MS + FIRST_MONDAY_MS
    case 'month': {
      const date = new Date(unixMs)
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth())
    }
    case 'total':
      return 0
  }
}

/** When the period ends that began then, and the next one begins; Infinity for never. */
export function endOf(period: QuotaPeriod, startMs: number): number {
  switch (period) {
    case 'day':
      return startMs + DAY_MS
    case 'week':
      return startMs + WEEK_MS
    case 'month': {
      const date = new Date(startMs)
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1)
    }
    case 'total':
      return Infinity
  }
}
