import { QUOTA_PERIODS } from '#shared/config'
import { endOf } from '../quota/period.ts'
import type { QuotaUse } from '../quota/quota-use.ts'
import { isCount, isRecord, parseTime } from './read-json.ts'

/** As it stands in the state file. */
export interface QuotaJson {
  readonly period: string
  /** Of the period. */
  readonly start: string
  /** Bytes. */
  readonly used: number
}

export function formatUse({ period, startMs, usedBytes }: QuotaUse): QuotaJson {
  return { period, start: new Date(startMs).toISOString(), used: usedBytes }
}

/** null for anything that `formatUse` has not written; the end of the period, too, is a time that there is. */
export function parseUse(value: unknown): QuotaUse | null {
  if (!isRecord(value)) return null
  const { start, used } = value
  const period = QUOTA_PERIODS.find((known) => known === value['period'])
  const startMs = parseTime(start)
  if (period === undefined || startMs === undefined || !isCount(used)) return null
  const endMs = endOf(period, startMs)
  if (endMs !== Infinity && Number.isNaN(new Date(endMs).getTime())) return null
  return { period, startMs, usedBytes: used }
}
