import type { HostPort, PreferIp } from '#shared/dc'
import { MIN_REPLAY_BYTES } from '#shared/state/replay-set'

import { decodeHost, decodeHostPort, decodeHostPorts, decodeIpv4, decodeIpv6 } from './address.ts'
import { decodeByteSize } from './byte-size.ts'
import {
  decodeAutoOrInteger,
  decodeBoolean,
  decodeCount,
  type Decoder,
  decodeHttpPath,
  decodeMetricPrefix,
  decodePort,
  decodePreferIp,
  decodeTable,
  type TomlTable,
} from './decoders.ts'
import { decodeDurationMs } from './duration.ts'
import { decodeSecrets, type SecretList } from './secrets.ts'

/** One thread per core is the most that helps; no machine we know of has more cores. */
export const MAX_WORKERS = 256
/** Shared memory is reserved at start: more is a slip in the unit, not a wish. */
const MAX_REPLAY_BYTES = 2 ** 30

/** One key of the file. */
export interface SchemaRow<T> {
  readonly decode: Decoder<T>
  /** What holds when the key is absent; null for nothing at all. */
  readonly default: T
  /** Whether a changed value is taken up by a running process (decision C9). */
  readonly reload: 'live' | 'restart'
  readonly help: string
}

/** The decoded value of each key, by its TOML path. */
export interface ConfigValues {
  debug: boolean
  secret: SecretList | null
  'bind-to': readonly HostPort[] | null
  'api-bind-to': HostPort | null
  concurrency: number
  'prefer-ip': PreferIp
  'tolerate-time-skewness': number
  'allow-fallback-on-unknown-dc': boolean
  'public-ipv4': string | null
  'public-ipv6': string | null
  'shutdown-timeout': number
  'domain-fronting.host': string | null
  'domain-fronting.port': number
  'domain-fronting.max-connections': number
  'network.timeout.tcp': number
  'network.timeout.http': number
  'network.timeout.idle': number
  'network.timeout.handshake': number
  'defense.anti-replay.enabled': boolean
  'defense.anti-replay.max-size': number
  'stats.prometheus.enabled': boolean
  'stats.prometheus.bind-to': HostPort
  'stats.prometheus.http-path': string
  'stats.prometheus.metric-prefix': string
  'performance.workers': number | 'auto'
  'performance.fast-mode': boolean
  dc: TomlTable
  secrets: TomlTable
}

export type ConfigKey = keyof ConfigValues

/** Every key that has an effect: its grammar, its default (decision C4), and what it is for. */
export const SCHEMA: { readonly [K in ConfigKey]: SchemaRow<ConfigValues[K]> } = {
  debug: {
    decode: decodeBoolean,
    default: false,
    reload: 'live',
    help: 'Log every connection, not only what an operator has to know.',
  },
  secret: {
    decode: decodeSecrets,
    default: null,
    reload: 'live',
    help: 'The secret of the only user, who is called "default".',
  },
  'bind-to': {
    decode: decodeHostPorts,
    default: null,
    reload: 'restart',
    help: 'Where clients connect to: an address with its port, or an array of them. Required.',
  },
  'api-bind-to': {
    decode: decodeHostPort,
    default: null,
    reload: 'restart',
    help: 'Where the stats API answers. Absent: no API.',
  },
  concurrency: {
    decode: decodeCount(1),
    default: 8192,
    reload: 'live',
    help: 'Connections held at once; those above it are closed at once.',
  },
  'prefer-ip': {
    decode: decodePreferIp,
    default: 'prefer-ipv6',
    reload: 'live',
    help: 'Which address family of Telegram is tried first, or at all.',
  },
  'tolerate-time-skewness': {
    decode: decodeDurationMs(1),
    default: 5000,
    reload: 'restart',
    help: 'How far the clock of a client may be off.',
  },
  'allow-fallback-on-unknown-dc': {
    decode: decodeBoolean,
    default: false,
    reload: 'live',
    help: 'Send clients that ask for an unknown data centre to DC 2.',
  },
  'public-ipv4': {
    decode: decodeIpv4,
    default: null,
    reload: 'live',
    help: 'The IPv4 address under which clients reach this host.',
  },
  'public-ipv6': {
    decode: decodeIpv6,
    default: null,
    reload: 'live',
    help: 'The IPv6 address under which clients reach this host.',
  },
  'shutdown-timeout': {
    decode: decodeDurationMs(0),
    default: 30_000,
    reload: 'live',
    help: 'How long open connections may go on after a stop was asked for.',
  },
  'domain-fronting.host': {
    decode: decodeHost,
    default: null,
    reload: 'live',
    help: 'Where strangers are sent to. Absent: the host of the secret.',
  },
  'domain-fronting.port': {
    decode: decodePort,
    default: 443,
    reload: 'live',
    help: 'The port of the fronting host.',
  },
  'domain-fronting.max-connections': {
    decode: decodeCount(0),
    default: 0,
    reload: 'live',
    help: 'Fronted connections held at once. 0: half of concurrency.',
  },
  'network.timeout.tcp': {
    decode: decodeDurationMs(1),
    default: 5000,
    reload: 'live',
    help: 'One outbound connect.',
  },
  'network.timeout.http': {
    decode: decodeDurationMs(1),
    default: 10_000,
    reload: 'live',
    help: 'One whole HTTP request of the proxy itself.',
  },
  'network.timeout.idle': {
    decode: decodeDurationMs(1),
    default: 300_000,
    reload: 'live',
    help: 'A connection that is silent in both directions for so long is closed.',
  },
  'network.timeout.handshake': {
    decode: decodeDurationMs(1),
    default: 10_000,
    reload: 'live',
    help: 'From accept to the end of the handshake.',
  },
  'defense.anti-replay.enabled': {
    decode: decodeBoolean,
    default: true,
    reload: 'restart',
    help: 'Send repeated hellos to the fronting host.',
  },
  'defense.anti-replay.max-size': {
    decode: decodeByteSize(MIN_REPLAY_BYTES, MAX_REPLAY_BYTES, 'less would forget hellos too early'),
    default: MIN_REPLAY_BYTES,
    reload: 'restart',
    help: 'Memory for the hellos that have been seen.',
  },
  'stats.prometheus.enabled': {
    decode: decodeBoolean,
    default: false,
    reload: 'restart',
    help: 'Serve metrics for Prometheus.',
  },
  'stats.prometheus.bind-to': {
    decode: decodeHostPort,
    default: { host: '127.0.0.1', port: 3129 },
    reload: 'restart',
    help: 'Where the metrics are served.',
  },
  'stats.prometheus.http-path': {
    decode: decodeHttpPath,
    default: '/',
    reload: 'restart',
    help: 'The path of the metrics.',
  },
  'stats.prometheus.metric-prefix': {
    decode: decodeMetricPrefix,
    default: 'mtg',
    reload: 'restart',
    help: 'The first word of every metric name.',
  },
  'performance.workers': {
    decode: decodeAutoOrInteger(MAX_WORKERS),
    default: 'auto',
    reload: 'restart',
    help: 'Worker threads. "auto": one per available core.',
  },
  'performance.fast-mode': {
    decode: decodeBoolean,
    default: true,
    reload: 'live',
    help: 'Pass what data centres send on without encrypting it once more (decision W8).',
  },
  dc: {
    decode: decodeTable,
    default: {},
    reload: 'live',
    help: 'Addresses of data centres in place of the built-in ones.',
  },
  secrets: {
    decode: decodeTable,
    default: {},
    reload: 'live',
    help: 'The users: a name and a secret each.',
  },
}
