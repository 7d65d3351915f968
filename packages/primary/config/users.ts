import type { UserConfig } from '#shared/config'
import type { ConfigProblem } from '#shared/errors'
import { formatSecretHex } from '#shared/secret'
import { MAX_USERS } from '#shared/state/ledger-memory'

import { compareBytewise } from '../compare-bytewise.ts'
import { isTable, type TomlTable } from './decoders.ts'
import { describeSecretValue, formatPath, SWAPPED_SECRET } from './describe.ts'
import type { KeyLines } from './key-lines.ts'
import { GLOBAL_KEYS } from './match-keys.ts'
import { decodeSecrets, type SecretList } from './secrets.ts'
import { locate } from './place.ts'
import { NO_LIMITS, readUserTable } from './user-table.ts'
import type { ConfigWarning } from './warning.ts'

/** The user of a file that has only a `secret` (operator.md §1.3). */
const DEFAULT_USER = 'default'
const MAX_NAME_LENGTH = 64
/** Code points, not UTF-16 units: names may be written in any script. */
const USER_NAME = new RegExp(`^\\P{Cc}{1,${MAX_NAME_LENGTH}}$`, 'u')

export interface UsersResult {
  /** Sorted bytewise by name. */
  readonly users: readonly UserConfig[]
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigWarning[]
  /** Global keys that were written after `[secrets]` and so became entries of it. */
  readonly misplacedKeys: ReadonlySet<string>
}

/**
 * The users of `[secrets]`, or the one of `secret` if there are none (operator.md §6.3). Names written under
 * `[secrets]` stay as they are written, so that each appears in the statistics: two names with one key but different
 * hosts are two users.
 */
export function collectUsers(section: TomlTable, single: SecretList | null, lines: KeyLines): UsersResult {
  const users: UserConfig[] = []
  const problems: ConfigProblem[] = []
  const warnings: ConfigWarning[] = []
  const misplacedKeys = new Set<string>()

  for (const [name, value] of Object.entries(section)) {
    const path = ['secrets', name]
    const at = locate(path, lines)
    const globalKey = GLOBAL_KEYS.get(name.toLowerCase())
    const table = isTable(value) ? readUserTable(path, value, lines) : null
    const given = table === null ? value : table.secret
    const decoded = decodeSecrets(given)
    if (!decoded.ok && globalKey !== undefined) {
      misplacedKeys.add(globalKey)
      problems.push({ ...at, expected: explainMisplaced(globalKey) })
      continue
    }
    problems.push(...(table?.problems ?? []))
    if (!decoded.ok) {
      const found = decoded.found ?? describeSecretValue(given)
      problems.push({ ...at, ...(given === undefined ? {} : { found }), expected: decoded.expected })
      continue
    }
    if (SWAPPED_SECRET.test(name)) {
      problems.push({ ...at, expected: 'this is a secret where the name belongs: write name = "secret"' })
      continue
    }
    if (!isUserName(name)) {
      problems.push({
        ...at,
        expected: `expected a name of 1 to ${MAX_NAME_LENGTH} characters, none a control`,
      })
      continue
    }
    // Of all global keys only this one can hold what a user holds, and so pass for a user unnoticed.
    if (globalKey === 'secret')
      warnings.push({
        kind: 'unwise',
        ...at,
        expected: `this is a user called "${name}"; ${explainMisplaced(globalKey)}`,
      })
    warnings.push(...(table?.warnings ?? []))
    const { quota, overLimit } = table ?? NO_LIMITS
    users.push({ name, secrets: decoded.value, quota, overLimit })
  }

  users.sort((a, b) => compareBytewise(a.name, b.name))
  problems.push(...findSharedSecrets(users, lines))
  if (users.length > MAX_USERS)
    problems.push({
      ...locate(['secrets'], lines),
      found: `${users.length} users`,
      expected: `expected at most ${MAX_USERS}`,
    })
  if (users.length === 0 && single !== null) users.push({ name: DEFAULT_USER, secrets: single, ...NO_LIMITS })
  return { users, problems, warnings, misplacedKeys }
}

function isUserName(name: string): boolean {
  return USER_NAME.test(name)
}

/** TOML puts every key after a `[section]` line into that section, however it is indented. */
function explainMisplaced(key: string): string {
  return `${key} is a global key, but stands after [secrets] and so inside of it: move it above the first [section]`
}

/** A key with the same host under two names would count for whoever comes first in the list (operator.md §6.3). */
function findSharedSecrets(users: readonly UserConfig[], lines: KeyLines): ConfigProblem[] {
  const owners = new Map<string, string>()
  const problems: ConfigProblem[] = []
  for (const user of users) {
    for (const secret of user.secrets) {
      const identity = formatSecretHex({ key: secret.key, host: normalizeHost(secret.host) })
      const owner = owners.get(identity)
      if (owner === undefined) {
        owners.set(identity, user.name)
        continue
      }
      const path = ['secrets', user.name]
      const who = owner === user.name ? 'twice here' : `also that of ${formatPath(['secrets', owner])}`
      const expected = `the secret is ${who}: expected each key with one host only once`
      problems.push({ ...locate(path, lines), expected })
    }
  }
  return problems
}

/** As host names are compared in a ClientHello (decision W1). */
function normalizeHost(host: string): string {
  return host.replace(/\.$/, '').toLowerCase()
}
