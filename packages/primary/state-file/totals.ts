/**
 * What users have moved in all, as it stands in the state file:
 *
 *   {"version":1,"users":[
 *   {"name":"anna","bytes_in":10,"bytes_out":20,"last_seen":"2026-01-02T03:04:05.678Z"},
 *   {"name":"boris","bytes_in":0,"bytes_out":0,"last_seen":null}
 *   ]}
 *
 * A user with a quota has `"quota":{"period":"month","start":"2026-01-01T00:00:00.000Z","used":30}` as well.
 * `"folded":["123.0a1b2c3d"]` before the users names files of drained processes that are part of these numbers already.
 */

import { mergeUse, subtractUse, type QuotaUse } from '../quota/quota-use.ts'
import { formatUse, parseUse } from './quota-json.ts'
import { isCount, isRecord, parseTime } from './read-json.ts'

export interface Totals {
  readonly bytesIn: number
  readonly bytesOut: number
  /** Unix time, or null for never. */
  readonly lastSeenMs: number | null
  /** Absent for who has never had a quota. */
  readonly quota?: QuotaUse
}

export const NOTHING: Totals = { bytesIn: 0, bytesOut: 0, lastSeenMs: null }

const VERSION = 1

export function addTotals(a: Totals, b: Totals): Totals {
  const seenMs = Math.max(a.lastSeenMs ?? 0, b.lastSeenMs ?? 0)
  return {
    bytesIn: addCounts(a.bytesIn, b.bytesIn),
    bytesOut: addCounts(a.bytesOut, b.bytesOut),
    lastSeenMs: seenMs === 0 ? null : seenMs,
    ...withQuota(
      a.quota === undefined || b.quota === undefined ? (a.quota ?? b.quota) : mergeUse(a.quota, b.quota),
    ),
  }
}

/** Without a quota there is no such member. */
export function withQuota(quota: QuotaUse | undefined): Pick<Totals, 'quota'> {
  return quota === undefined ? {} : { quota }
}

/** Beyond 9 PB a double is no exact count any more, and the file would not be taken for ours again. */
const addCounts = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER)

export function mergeTotals(
  one: ReadonlyMap<string, Totals>,
  other: ReadonlyMap<string, Totals>,
): Map<string, Totals> {
  const all = new Map(one)
  for (const [name, totals] of other) all.set(name, addTotals(all.get(name) ?? NOTHING, totals))
  return all
}

/** What has come since; users of whom there is no news are left out. */
export function subtractTotals(
  now: ReadonlyMap<string, Totals>,
  before: ReadonlyMap<string, Totals>,
): Map<string, Totals> {
  const news = new Map<string, Totals>()
  for (const [name, totals] of now) {
    const base = before.get(name) ?? NOTHING
    // What was counted and then not sent is taken back: more of that than news is none. A file has no negative counts.
    const bytesIn = Math.max(0, totals.bytesIn - base.bytesIn)
    const bytesOut = Math.max(0, totals.bytesOut - base.bytesOut)
    const quota = totals.quota === undefined ? undefined : subtractUse(totals.quota, base.quota)
    if (bytesIn === 0 && bytesOut === 0 && totals.lastSeenMs === base.lastSeenMs && quota === undefined)
      continue
    news.set(name, { bytesIn, bytesOut, lastSeenMs: totals.lastSeenMs, ...withQuota(quota) })
  }
  return news
}

/** A line for each user, so that people can read it and `diff` shows who has changed. */
export function formatTotals(
  users: ReadonlyMap<string, Totals>,
  folded: ReadonlySet<string> = new Set(),
): string {
  const lines = Array.from(users, ([name, { bytesIn, bytesOut, lastSeenMs, quota }]) =>
    JSON.stringify({
      name,
      bytes_in: bytesIn,
      bytes_out: bytesOut,
      last_seen: lastSeenMs === null ? null : new Date(lastSeenMs).toISOString(),
      ...(quota === undefined ? {} : { quota: formatUse(quota) }),
    }),
  )
  const known = folded.size === 0 ? '' : `"folded":${JSON.stringify([...folded])},`
  return `{"version":${VERSION},${known}"users":[\n${lines.join(',\n')}\n]}\n`
}

/** null for anything that `formatTotals` has not written. */
export function parseTotals(text: string): Map<string, Totals> | null {
  const file = parseJson(text)
  if (!isRecord(file) || file['version'] !== VERSION || !Array.isArray(file['users'])) return null
  const users = new Map<string, Totals>()
  for (const entry of file['users'] as unknown[]) {
    const parsed = parseEntry(entry)
    if (parsed === null || users.has(parsed.name)) return null
    users.set(parsed.name, parsed.totals)
  }
  return users
}

/** Ids of what is part of the totals already; empty for a file that does not say. */
export function parseFolded(text: string): ReadonlySet<string> {
  const file = parseJson(text)
  const folded = isRecord(file) && Array.isArray(file['folded']) ? (file['folded'] as unknown[]) : []
  return new Set(folded.filter((id) => typeof id === 'string'))
}

function parseEntry(entry: unknown): { name: string; totals: Totals } | null {
  if (!isRecord(entry)) return null
  const { name, bytes_in: bytesIn, bytes_out: bytesOut, last_seen: lastSeen } = entry
  if (typeof name !== 'string' || !isCount(bytesIn) || !isCount(bytesOut)) return null
  const quota = entry['quota'] === undefined ? undefined : parseUse(entry['quota'])
  const lastSeenMs = lastSeen === null ? null : parseTime(lastSeen)
  if (quota === null || lastSeenMs === undefined) return null
  return { name, totals: { bytesIn, bytesOut, lastSeenMs, ...withQuota(quota) } }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
