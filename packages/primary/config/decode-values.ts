import { isDeepStrictEqual } from 'node:util'

import type { ConfigProblem } from '#shared/errors'

import { type Decoded, fail } from './decoders.ts'
import { describeSecretValue, describeValue, SWAPPED_SECRET } from './describe.ts'
import type { KeyLines } from './key-lines.ts'
import type { MatchedKeys } from './match-keys.ts'
import { locate, type Place } from './place.ts'
import { CONFIG_KEYS, type ConfigKey, type DecodedValues, SCHEMA } from './schema.ts'
import type { SchemaRow } from './schema-row.ts'
import type { ConfigWarning } from './warning.ts'

export interface DecodedKeys {
  /** Every key; those that are absent or wrong have their default. */
  readonly values: DecodedValues
  /** Keys that the file really sets. */
  readonly given: ReadonlySet<ConfigKey>
  /** Keys with a value that was refused. */
  readonly failed: ReadonlySet<ConfigKey>
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigWarning[]
}

const SECRET_HERE = fail('this is a secret, which has no place here')

/** The value of every key by its row of the schema, with everything that there is to say of them. */
export function decodeValues(matched: MatchedKeys, lines: KeyLines): DecodedKeys {
  const values: Partial<Record<ConfigKey, unknown>> = {}
  const given = new Set<ConfigKey>()
  const failed = new Set<ConfigKey>()
  const problems: ConfigProblem[] = []
  const warnings: ConfigWarning[] = []
  for (const key of CONFIG_KEYS) {
    const row: SchemaRow<unknown, never> = SCHEMA[key]
    values[key] = row.default
    const found = matched.found.get(key)
    if (found === undefined || (row.zero === 'default' && found.value === '')) continue
    const isSwapped = row.sensitive !== true && looksSwapped(found.value)
    const decoded: Decoded<unknown> = isSwapped ? SECRET_HERE : row.decode(found.value)
    const place = locate(found.path, lines)
    const describe = row.sensitive === true ? describeSecretValue : describeValue
    if (!decoded.ok) {
      failed.add(key)
      problems.push({ ...place, found: decoded.found ?? describe(found.value), expected: decoded.expected })
      continue
    }
    if (row.zero === 'default' && decoded.value === 0) continue
    values[key] = decoded.value
    given.add(key)
    if (decoded.notice !== undefined)
      warnings.push({ kind: 'changed', ...place, found: describe(found.value), expected: decoded.notice })
    if (!isDeepStrictEqual(decoded.value, row.default)) warnings.push(...warnOfRow(row, place))
  }
  // Each value came from the row of its own key, a relation that does not survive the loop.
  return { values: values as DecodedValues, given, failed, problems, warnings }
}

/** A whole secret, as it stands in a link: where it is no secret it would be printed, logged, or a name of a metric. */
function looksSwapped(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(looksSwapped)
  return typeof value === 'string' && SWAPPED_SECRET.test(value.replace(/^\//, ''))
}

/** What has to be said of a key because somebody relies on it. */
function warnOfRow(
  { deprecated, pending, unused }: SchemaRow<unknown, never>,
  place: Place,
): ConfigWarning[] {
  const warnings: ConfigWarning[] = []
  if (deprecated?.ignored !== undefined)
    warnings.push({
      kind: 'deprecated',
      ...place,
      expected: `deprecated and ignored: use ${deprecated.instead}`,
      instead: deprecated.instead,
      message: deprecated.ignored,
    })
  else if (deprecated !== undefined)
    warnings.push({
      kind: 'deprecated',
      ...place,
      expected: `deprecated: use ${deprecated.instead}`,
      instead: deprecated.instead,
    })
  if (pending === true)
    warnings.push({ kind: 'no-effect', ...place, expected: 'accepted, but has no effect in this version' })
  if (unused !== undefined)
    warnings.push({ kind: 'no-effect', ...place, expected: `accepted, but has no effect: ${unused}` })
  return warnings
}
