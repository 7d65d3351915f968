import type { DcRoutes, UserConfig } from '#shared/config'
import { type DcTable, formatHostPort } from '#shared/dc'

import { decodeTable, type TomlTable } from './decoders.ts'
import { DEFENSE_ROWS, type DefenseValues } from './rows/defense.ts'
import { DOMAIN_FRONTING_ROWS, type DomainFrontingValues } from './rows/domain-fronting.ts'
import { GLOBAL_ROWS, type GlobalValues } from './rows/global.ts'
import { NETWORK_ROWS, type NetworkValues } from './rows/network.ts'
import { PERFORMANCE_ROWS, type PerformanceValues } from './rows/performance.ts'
import { STATS_ROWS, type StatsValues } from './rows/stats.ts'
import { THROTTLE_ROWS, type ThrottleValues } from './rows/throttle.ts'
import type { Rows, SchemaRow, Shown } from './schema-row.ts'
import { showProxies } from './upstream-proxy.ts'
import { showUser } from './user-table.ts'

type PlainValues = GlobalValues &
  ThrottleValues &
  DomainFrontingValues &
  NetworkValues &
  DefenseValues &
  StatsValues &
  PerformanceValues

/** What the decoders give for each key, by its TOML path. */
export type DecodedValues = PlainValues & { dc: TomlTable; 'dc-routes': TomlTable; secrets: TomlTable }

/** What holds in the end for each key, by its TOML path. */
export type ConfigValues = PlainValues & {
  /** The operator's own entries. */
  dc: DcTable
  'dc-routes': DcRoutes
  /** The users of the section, sorted bytewise by name. */
  secrets: readonly UserConfig[]
}

export type ConfigKey = keyof ConfigValues

/** Sections with keys of the operator's choice: a table each, whose entries are decoded one by one. */
interface TableRows {
  readonly dc: SchemaRow<TomlTable, DcTable>
  readonly 'dc-routes': SchemaRow<TomlTable, DcRoutes>
  readonly secrets: SchemaRow<TomlTable, readonly UserConfig[]>
}

const TABLE_ROWS: TableRows = {
  dc: {
    decode: decodeTable,
    show: (table) =>
      Object.fromEntries(Object.entries(table).map(([dc, addresses]) => [dc, addresses.map(formatHostPort)])),
    default: {},
    reload: 'live',
    help: 'Addresses of data centres in place of the built-in ones.',
  },
  'dc-routes': {
    decode: decodeTable,
    show: (routes) =>
      Object.fromEntries(Object.entries(routes).map(([dc, proxies]) => [dc, showProxies(proxies)])),
    default: {},
    reload: 'live',
    sensitive: true,
    help: 'Ways to single data centres in place of network.proxies; "" is a direct connection.',
  },
  secrets: {
    decode: decodeTable,
    show: (users) => Object.fromEntries(users.map((user) => [user.name, showUser(user)])),
    default: {},
    reload: 'live',
    sensitive: true,
    help: 'The users: a name and a secret each, or a table with limits of their own.',
  },
}

/** Every key: its grammar, its default (decision C4), what a running process does with a change, what it is for. */
export const SCHEMA: Rows<PlainValues> & TableRows = {
  ...GLOBAL_ROWS,
  ...THROTTLE_ROWS,
  ...DOMAIN_FRONTING_ROWS,
  ...NETWORK_ROWS,
  ...DEFENSE_ROWS,
  ...STATS_ROWS,
  ...PERFORMANCE_ROWS,
  ...TABLE_ROWS,
}

// The keys of an object with this mapped type are exactly its keys, which Object.keys forgets.
export const CONFIG_KEYS = Object.keys(SCHEMA) as readonly ConfigKey[]

/** A value as a person may see it, secrets masked. */
export function showValue(key: ConfigKey, values: ConfigValues): Shown {
  // The row and the value belong to the same key, a relation that the union of all rows does not express.
  const show = SCHEMA[key].show as (value: unknown) => Shown
  return show(values[key])
}
