/** The body of `/stats` (wire.md §12.3, decision O2). */
import { compareBytewise } from '../compare-bytewise.ts'

export interface UserStats {
  readonly name: string
  readonly connections: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Unix time of the last activity, or null for never. */
  readonly lastSeenMs: number | null
}

export interface StatsSnapshot {
  /** Unix time. */
  readonly startedAtMs: number
  /** In any order; the body has them in bytewise order of the names. */
  readonly users: readonly UserStats[]
  /** null while it is off. */
  readonly throttle: ThrottleSnapshot | null
}

/** What the throttle does now. */
export interface ThrottleSnapshot {
  readonly active: boolean
  /** Connections of all users together. */
  readonly limit: number
  readonly caps: readonly { readonly name: string; readonly cap: number }[]
}

/**
 * One line of JSON. Members are written one after the other, not by `JSON.stringify` of an object, which would put
 * names such as "7" before all others and lose a user named "__proto__".
 */
export function formatStats(snapshot: StatsSnapshot, nowMs: number): string {
  const users = sortByName(snapshot.users)
  const format = rememberTimes()
  const uptimeSeconds = Math.max(0, Math.floor((nowMs - snapshot.startedAtMs) / 1000))
  const members = [
    `"started_at":${formatTime(snapshot.startedAtMs)}`,
    `"uptime_seconds":${uptimeSeconds}`,
    `"total_connections":${users.reduce((sum, user) => sum + user.connections, 0)}`,
  ]
  const { throttle } = snapshot
  if (throttle !== null) members.push(`"throttle":${formatThrottle(throttle)}`)
  members.push(`"users":{${users.map((user) => formatUser(user, format)).join(',')}}`)
  return `{${members.join(',')}}\n`
}

function formatUser(user: UserStats, format: (unixMs: number) => string): string {
  const { name, connections, bytesIn, bytesOut, lastSeenMs } = user
  const lastSeen = lastSeenMs === null ? 'null' : format(lastSeenMs)
  return `${quote(name)}:{"connections":${connections},"bytes_in":${bytesIn},"bytes_out":${bytesOut},"last_seen":${lastSeen}}`
}

function formatThrottle({ active, limit, caps }: ThrottleSnapshot): string {
  const members = [`"active":${active}`, `"limit":${limit}`]
  if (caps.length > 0) {
    const entries = sortByName(caps).map(({ name, cap }) => `${quote(name)}:${cap}`)
    members.push(`"caps":{${entries.join(',')}}`)
  }
  return `{${members.join(',')}}`
}

/** UTC, whole seconds. */
function formatTime(unixMs: number): string {
  return `"${new Date(unixMs).toISOString().slice(0, -'.000Z'.length)}Z"`
}

/** Of 10,000 users most were last seen in the same few seconds, and a time costs more than all the rest of a user. */
function rememberTimes(): (unixMs: number) => string {
  const texts = new Map<number, string>()
  return (unixMs) => {
    const second = Math.floor(unixMs / 1000)
    const text = texts.get(second) ?? formatTime(unixMs)
    texts.set(second, text)
    return text
  }
}

/** What the reference's encoder escapes beyond JSON's own needs, so that the text may stand in HTML and JavaScript. */
const ESCAPED = /[<>&\u2028\u2029]/g

/** Stands between quotation marks as it is. */
const PLAIN = /^[\w .@+-]*$/

function quote(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(
    ESCAPED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function sortByName<T extends { readonly name: string }>(entries: readonly T[]): readonly T[] {
  // Users come sorted from the configuration: one pass is enough then.
  const sorted = entries.every(
    (entry, at) => at === 0 || compareBytewise(entries[at - 1]?.name ?? '', entry.name) <= 0,
  )
  return sorted ? entries : entries.toSorted((a, b) => compareBytewise(a.name, b.name))
}
