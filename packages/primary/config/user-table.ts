import { QUOTA_PERIODS, type QuotaConfig, type RefuseAction, type UserConfig } from '#shared/config'
import type { ConfigProblem } from '#shared/errors'
import { maskSecret } from '#shared/secret'

import { decodeByteSize, formatByteSize } from './byte-size.ts'
import { decodeOneOf, type Decoder, fail, type TomlTable } from './decoders.ts'
import { describeValue } from './describe.ts'
import { REFUSE_ACTION } from './formats.ts'
import type { KeyLines } from './key-lines.ts'
import { findNearest } from './nearest.ts'
import { locate } from './place.ts'
import type { Shown } from './schema-row.ts'
import type { ConfigWarning } from './warning.ts'

/** 4 PiB: with everything that is added to it, it is still a whole number to the byte. */
export const MAX_QUOTA_BYTES: number = 2 ** 52
const USER_KEYS = ['secret', 'quota', 'quota-period', 'over-limit'] as const
type UserKey = (typeof USER_KEYS)[number]

/** What a user may have of one's own (decision C7). */
export interface UserLimits {
  readonly quota: QuotaConfig | null
  readonly overLimit: RefuseAction
}

export const NO_LIMITS: UserLimits = { quota: null, overLimit: 'close' }

export interface UserTable extends UserLimits {
  /** As it stands there. */
  readonly secret: unknown
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigWarning[]
}

const decodeSize = decodeByteSize({
  minBytes: 1,
  maxBytes: MAX_QUOTA_BYTES,
  why: 'there is no part of a byte',
})

const decodeQuota: Decoder<number> = (found) => {
  const decoded = decodeSize(found)
  if (!decoded.ok) return fail('expected a size with its unit, such as "10gib"')
  return decoded.value > 0 ? decoded : fail('expected a size above 0; who has no quota needs no such key')
}

const decodePeriod = decodeOneOf(QUOTA_PERIODS)

/** A user that is written as a table. Of the values that are wrong, the defaults. */
export function readUserTable(path: readonly string[], table: TomlTable, lines: KeyLines): UserTable {
  const problems: ConfigProblem[] = []
  const warnings: ConfigWarning[] = []
  const found = new Map<UserKey, { readonly path: readonly string[]; readonly value: unknown }>()
  for (const [written, value] of Object.entries(table)) {
    const at = [...path, written]
    const key = USER_KEYS.find((known) => known === written.toLowerCase())
    if (key === undefined)
      warnings.push({ kind: 'unknown', ...locate(at, lines), expected: explainUnknown(written) })
    else if (found.has(key))
      problems.push({
        ...locate(at, lines),
        expected: `expected only one ${key}: letter case makes no other key`,
      })
    else found.set(key, { path: at, value })
  }

  const limitBytes = decode('quota', decodeQuota)
  const period = decode('quota-period', decodePeriod)
  const action = decode('over-limit', REFUSE_ACTION.decode)
  for (const key of ['quota-period', 'over-limit'] as const) {
    const given = found.get(key)
    if (given !== undefined && !found.has('quota'))
      warnings.push({
        kind: 'no-effect',
        ...locate(given.path, lines),
        expected: 'has no effect without a quota',
      })
  }
  return {
    secret: found.get('secret')?.value,
    quota: limitBytes === undefined ? null : { limitBytes, period: period ?? 'month' },
    overLimit: action ?? NO_LIMITS.overLimit,
    problems,
    warnings,
  }

  function decode<T>(key: UserKey, decoder: Decoder<T>): T | undefined {
    const given = found.get(key)
    if (given === undefined) return undefined
    const decoded = decoder(given.value)
    const place = { ...locate(given.path, lines), found: describeValue(given.value) }
    if (!decoded.ok) {
      problems.push({ ...place, expected: decoded.expected })
      return undefined
    }
    if (decoded.notice !== undefined) warnings.push({ kind: 'changed', ...place, expected: decoded.notice })
    return decoded.value
  }
}

/** As it may be written in a file, secrets masked. */
export function showUser({ secrets, quota, overLimit }: UserConfig): Shown {
  const secret = secrets.map(maskSecret)
  if (quota === null) return secret
  const { limitBytes, period } = quota
  return { secret, quota: formatByteSize(limitBytes), 'quota-period': period, 'over-limit': overLimit }
}

function explainUnknown(written: string): string {
  const nearest = findNearest(written, USER_KEYS)
  return nearest === undefined ? 'unknown key, ignored' : `unknown key, ignored: did you mean ${nearest}?`
}
