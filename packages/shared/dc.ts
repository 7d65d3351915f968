/** Telegram's data centres: which addresses a connection may be dialled to, in which order (wire.md §6). */

/** As the client signed it: negative for media, never 0. */
export type DcId = number

export type PreferIp = 'prefer-ipv4' | 'prefer-ipv6' | 'only-ipv4' | 'only-ipv6'

export interface HostPort {
  /** IP literal without brackets. */
  readonly host: string
  readonly port: number
}

export type DcTable = Readonly<Record<number, readonly HostPort[]>>

const PORT = 443
const at = (host: string): HostPort => ({ host, port: PORT })

export const BUILT_IN_DCS: DcTable = {
  1: [at('149.154.175.50'), at('2001:b28:f23d:f001::a')],
  2: [at('149.154.167.51'), at('95.161.76.100'), at('2001:67c:4e8:f002::a')],
  3: [at('149.154.175.100'), at('2001:b28:f23d:f003::a')],
  4: [at('149.154.167.91'), at('2001:67c:4e8:f004::a')],
  5: [at('149.154.171.5'), at('2001:b28:f23f:f005::a')],
  203: [at('91.105.192.100'), at('2a0a:f280:203:a:5000::100')],
}

/** Where unknown data centres are sent when the operator allows it, and what a frame without one means. */
export const DEFAULT_DC: DcId = 2

/** The table with the operator's `[dc]` entries in place of the built-in ones. */
export function mergeDcTable(overrides: DcTable): DcTable {
  return { ...BUILT_IN_DCS, ...overrides }
}

const isIpv6 = (address: HostPort): boolean => address.host.includes(':')
const isSame = (a: HostPort, b: HostPort): boolean => a.host === b.host && a.port === b.port

/**
 * The addresses of a data centre in the order they are to be tried: filtered and ordered by family; those of one
 * family stay in the table's order and are rotated by `turn`, so that load spreads over them. Those that Telegram
 * publishes come behind the table's own of the same family.
 */
export function dcCandidates(
  table: DcTable,
  dc: DcId,
  preferIp: PreferIp,
  turn: number,
  published: DcTable = {},
): readonly HostPort[] {
  const own = table[Math.abs(dc)] ?? []
  const added = (published[Math.abs(dc)] ?? []).filter((address) => !own.some((has) => isSame(has, address)))
  const ofFamily = (isWanted: (address: HostPort) => boolean): readonly HostPort[] => [
    ...rotate(own.filter(isWanted), turn),
    ...rotate(added.filter(isWanted), turn),
  ]
  const v4 = ofFamily((address) => !isIpv6(address))
  const v6 = ofFamily(isIpv6)
  switch (preferIp) {
    case 'only-ipv4':
      return v4
    case 'only-ipv6':
      return v6
    case 'prefer-ipv4':
      return [...v4, ...v6]
    case 'prefer-ipv6':
      return [...v6, ...v4]
  }
}

function rotate<T>(list: readonly T[], turn: number): readonly T[] {
  if (list.length < 2) return list
  const start = turn % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

/** `127.0.0.1:443`, `[::1]:443` */
export function formatHostPort(address: HostPort): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** One series of the per-address metrics. */
export interface DcAddress {
  readonly ip: string
  readonly dc: number
}

/** Every distinct address of the table in a fixed order: its position is its counter slot in every thread. */
export function listDcAddresses(table: DcTable): readonly DcAddress[] {
  const seen = new Map<string, DcAddress>()
  for (const [dc, addresses] of Object.entries(table)) {
    for (const { host } of addresses) seen.set(`${dc} ${host}`, { ip: host, dc: Number(dc) })
  }
  return [...seen.values()]
}
