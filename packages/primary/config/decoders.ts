import type { PreferIp } from '#shared/dc'
import { isHostName } from '#shared/secret'

import { describeValue } from './describe.ts'

/**
 * What a decoder made of one TOML value. A failure says what would be right, beginning with "expected"; when only a
 * part of the value is wrong, `found` is that part in words. A notice is a value taken with a change.
 */
export type Decoded<T> =
  | { ok: true; value: T; notice?: string }
  | { ok: false; expected: string; found?: string }

/** Integers arrive as bigint and floats as number, so that `8192.0` is not taken for a count. */
export type Decoder<T> = (found: unknown) => Decoded<T>

/** Enough for any machine, far below what a typing error of three more zeros gives (decision C3). */
export const MAX_COUNT = 1_000_000
/** No request line of any client is longer than this by reason. */
const MAX_HTTP_PATH_LENGTH = 1024

export function fail(expected: string): { ok: false; expected: string } {
  return { ok: false, expected }
}

export const decodeBoolean: Decoder<boolean> = (found) =>
  typeof found === 'boolean' ? { ok: true, value: found } : fail('expected true or false, without quotes')

/** Integers from `min` to `max`, both included. */
export function decodeInteger(min: number, max: number): Decoder<number> {
  return (found) =>
    typeof found === 'bigint' && found >= BigInt(min) && found <= BigInt(max)
      ? { ok: true, value: Number(found) }
      : fail(`expected an integer from ${min} to ${max}`)
}

/** Texts out of a closed list, in any letter case (operator.md §1.2). */
export function decodeOneOf<const T extends string>(choices: readonly T[]): Decoder<T> {
  const expected = `expected one of ${choices.map((choice) => `"${choice}"`).join(', ')}`
  return (found) => {
    const lower = typeof found === 'string' ? found.toLowerCase() : undefined
    const value = choices.find((choice) => choice === lower)
    return value === undefined ? fail(expected) : { ok: true, value }
  }
}

export const decodePreferIp: Decoder<PreferIp> = decodeOneOf([
  'prefer-ipv4',
  'prefer-ipv6',
  'only-ipv4',
  'only-ipv6',
])

/**
 * `metrics`, `/metrics/` and `//metrics` are all `/metrics`; the empty text is `/` (operator.md §1.2). What a request
 * cannot contain is percent-encoded, the way clients would ask for it.
 */
export const decodeHttpPath: Decoder<string> = (found) => {
  if (typeof found !== 'string' || found.length > MAX_HTTP_PATH_LENGTH || !found.isWellFormed())
    return fail('expected a URL path such as "/metrics"')
  const value = `/${found.replace(/^\/+|\/+$/g, '')}`
  const encoded = encodeURI(value).replaceAll('%25', '%').replaceAll('?', '%3F').replaceAll('#', '%23')
  return encoded === value
    ? { ok: true, value }
    : { ok: true, value: encoded, notice: 'percent-encoded, as clients ask for it' }
}

/** As {@link decodeHttpPath}, but `/` and the empty text are no prefix at all. */
export const decodeHttpPathPrefix: Decoder<string> = (found) => {
  const decoded = decodeHttpPath(found)
  return decoded.ok && decoded.value === '/' ? { ok: true, value: '' } : decoded
}

/** A name as it stands in the Host header of a request, without the port; `*` for all. */
export const decodeAllowedHost: Decoder<string> = (found) => {
  const name = typeof found === 'string' ? found.toLowerCase().replace(/\.$/, '') : ''
  return name === '*' || isHostName(name)
    ? { ok: true, value: name }
    : fail('expected a host name without a port, such as "stats.example.com", or "*" for every name')
}

export const decodeMetricPrefix: Decoder<string> = (found) =>
  typeof found === 'string' && /^[a-z0-9]+$/.test(found)
    ? { ok: true, value: found }
    : fail('expected a prefix of small letters and digits, such as "mtg"')

/** A metric of Prometheus cannot begin with a digit, and so the prefix cannot either. */
export const decodePrometheusPrefix: Decoder<string> = (found) =>
  typeof found === 'string' && /^[a-z][a-z0-9]*$/.test(found)
    ? { ok: true, value: found }
    : fail('expected a prefix of small letters and digits that begins with a letter, such as "mtg"')

/** A fraction such as 0.001; the reference takes any number below 100. */
export const decodeErrorRate: Decoder<number> = (found) => {
  const value = typeof found === 'bigint' ? Number(found) : found
  return typeof value === 'number' && value >= 0 && value < 100
    ? { ok: true, value }
    : fail('expected a number from 0 to 100, such as 0.001')
}

/** `"auto"`, or a number from 1 to `max`. */
export function decodeAutoOrInteger(min: number, max: number): Decoder<number | 'auto'> {
  const decodeNumber = decodeInteger(min, max)
  return (found) => {
    if (found === 'auto') return { ok: true, value: 'auto' }
    const decoded = decodeNumber(found)
    return decoded.ok ? decoded : fail(`expected "auto" or an integer from ${min} to ${max}`)
  }
}

/** A table whose keys are not ours to know: `[secrets]`, `[dc]`. Its entries are decoded one by one. */
export const decodeTable: Decoder<TomlTable> = (found) =>
  isTable(found) ? { ok: true, value: found } : fail('expected a table')

/** One value, or an array of at least one, each by the same decoder. */
export function decodeOneOrMore<T>(decode: Decoder<T>, what: string): Decoder<readonly T[]> {
  const decodeAll = decodeList(decode)
  return (found) =>
    Array.isArray(found) && found.length === 0 ? fail(`expected at least one ${what}`) : decodeAll(found)
}

/** An array, or one value for an array of one. The notices of all elements come together. */
export function decodeList<T>(decode: Decoder<T>): Decoder<readonly T[]> {
  return (found) => {
    const list: readonly unknown[] = Array.isArray(found) ? found : [found]
    const values: T[] = []
    const notices: string[] = []
    for (const element of list) {
      const decoded = decode(element)
      if (!decoded.ok) return { found: describeValue(element), ...decoded }
      values.push(decoded.value)
      if (decoded.notice !== undefined) notices.push(decoded.notice)
    }
    return { ok: true, value: values, ...(notices.length === 0 ? {} : { notice: notices.join('; ') }) }
  }
}

export type TomlTable = Readonly<Record<string, unknown>>

/** Tables come without a prototype from the parser; dates and arrays are objects too, but no tables. */
export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}
