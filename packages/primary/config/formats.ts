/** The ways of writing values that several keys share, each with its decoder and its show. */
import type { HttpAddress, RefuseAction } from '#shared/config'
import { formatHostPort, type HostPort } from '#shared/dc'

import { decodeHttpAddress, formatHttpAddress } from './address.ts'
import { formatByteSize } from './byte-size.ts'
import {
  decodeBoolean,
  decodeInteger,
  decodeMetricPrefix,
  decodeOneOf,
  type Decoder,
  MAX_COUNT,
} from './decoders.ts'
import { decodeDurationMs, formatDuration } from './duration.ts'
import type { Format, Shown } from './schema-row.ts'

const showAsIs = (value: Shown): Shown => value

/** What is shown as it was read: numbers, truth values, plain texts and lists of them. */
export function plain<T extends Shown>(decode: Decoder<T>): Format<T> {
  return { decode, show: showAsIs }
}

/** The same key with null for its absence. */
export function optional<T>(format: Format<T>): Format<T | null> {
  return { decode: format.decode, show: (value) => (value === null ? null : format.show(value)) }
}

export const BOOLEAN: Format<boolean> = plain(decodeBoolean)

/** Counts of things; what 0 means is the key's business. */
export const COUNT: Format<number> = plain(decodeInteger(0, MAX_COUNT))

const MAX_PORT = 65_535
/** 0 stands for no port, as in the reference. */
export const PORT: Format<number> = plain(decodeInteger(0, MAX_PORT))

export const DURATION: Format<number> = { decode: decodeDurationMs, show: formatDuration }

export function byteSize(decode: Decoder<number>): Format<number> {
  return { decode, show: formatByteSize }
}

export function hostPort(decode: Decoder<HostPort>): Format<HostPort> {
  return { decode, show: formatHostPort }
}

export const HTTP_ADDRESS: Format<HttpAddress> = { decode: decodeHttpAddress, show: formatHttpAddress }

export const REFUSE_ACTION: Format<RefuseAction> = plain(decodeOneOf(['close', 'front']))

export const METRIC_PREFIX: Format<string> = plain(decodeMetricPrefix)
