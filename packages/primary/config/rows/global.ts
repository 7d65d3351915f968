import type { HttpAddress } from '#shared/config'
import { formatHostPort, type HostPort, type PreferIp } from '#shared/dc'
import { maskSecret } from '#shared/secret'

import { decodeHostPorts, decodeIp, decodeNetworks, decodePublicIpv4, decodePublicIpv6 } from '../address.ts'
import { decodeApiToken } from '../api-token.ts'
import {
  decodeAllowedHost,
  decodeHttpPathPrefix,
  decodeInteger,
  decodeList,
  decodePreferIp,
} from '../decoders.ts'
import { BOOLEAN, COUNT, DURATION, HTTP_ADDRESS, optional, plain, PORT } from '../formats.ts'
import { decodePath } from '../path.ts'
import type { Rows } from '../schema-row.ts'
import { decodeSecrets, type SecretList } from '../secrets.ts'

/** What `listen` takes on any system; the kernel has a limit of its own below it. */
const MAX_BACKLOG = 65_535
/** Everybody, as the reference has it (decision W12). */
const ALL_NETWORKS = ['0.0.0.0/0', '::/0']
const MASKED_TOKEN = '…'

export interface GlobalValues {
  debug: boolean
  secret: SecretList | null
  'bind-to': readonly HostPort[] | null
  'listen-backlog': number
  'reuse-port': boolean
  'proxy-protocol-listener': boolean
  'proxy-protocol-trusted': readonly string[]
  'api-bind-to': HttpAddress | null
  'api-token': string | null
  'api-allowed-hosts': readonly string[]
  'api-path-prefix': string
  'state-file': string | null
  concurrency: number
  'prefer-ip': PreferIp
  'auto-update': boolean
  'tolerate-time-skewness': number
  'allow-fallback-on-unknown-dc': boolean
  'public-ipv4': string | null
  'public-ipv6': string | null
  'shutdown-timeout': number
  'domain-fronting-port': number | null
  'domain-fronting-ip': string | null
  'domain-fronting-proxy-protocol': boolean
}

/** The keys above the first section. */
export const GLOBAL_ROWS: Rows<GlobalValues> = {
  debug: {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Log every connection, not only what an operator has to know.',
  },
  secret: {
    decode: decodeSecrets,
    show: (secrets) => secrets?.map(maskSecret) ?? null,
    default: null,
    reload: 'live',
    zero: 'default',
    sensitive: true,
    help: 'The secret of the only user, who is called "default".',
  },
  'bind-to': {
    decode: decodeHostPorts,
    show: (addresses) => addresses?.map(formatHostPort) ?? null,
    default: null,
    reload: 'restart',
    help: 'Where clients connect to: an address with its port, or an array of them. Required.',
  },
  'listen-backlog': {
    ...plain(decodeInteger(1, MAX_BACKLOG)),
    default: 4096,
    reload: 'restart',
    help: 'Connections that the kernel keeps ready while all are busy.',
  },
  'reuse-port': {
    ...BOOLEAN,
    default: false,
    reload: 'restart',
    help: 'Every worker thread accepts by itself; other processes may listen there too.',
  },
  'proxy-protocol-listener': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Every client connection begins with a PROXY header, version 1 or 2.',
  },
  'proxy-protocol-trusted': {
    ...plain(decodeNetworks),
    default: ALL_NETWORKS,
    reload: 'live',
    help: 'Networks whose PROXY headers are believed.',
  },
  'api-bind-to': {
    ...optional(HTTP_ADDRESS),
    default: null,
    reload: 'restart',
    zero: 'default',
    help: 'Where the stats API answers: an address, or unix:/path. Absent: no API.',
  },
  'api-token': {
    decode: decodeApiToken,
    show: (token) => (token === null ? null : MASKED_TOKEN),
    default: null,
    reload: 'live',
    zero: 'default',
    sensitive: true,
    pending: true,
    help: 'What write calls of the API have to show. Absent: there are none.',
  },
  'api-allowed-hosts': {
    ...plain(decodeList(decodeAllowedHost)),
    default: [],
    reload: 'live',
    help: 'Names under which the API may be asked, besides addresses, localhost and names without a dot.',
  },
  'api-path-prefix': {
    ...plain(decodeHttpPathPrefix),
    default: '',
    reload: 'restart',
    help: 'In front of every path of the API, for a web server before it.',
  },
  'state-file': {
    ...optional(plain(decodePath)),
    default: null,
    reload: 'restart',
    zero: 'default',
    help: 'Where totals are kept over restarts. Absent: they begin at 0.',
  },
  concurrency: {
    ...COUNT,
    default: 8192,
    reload: 'live',
    zero: 'default',
    help: 'Connections held at once; those above it are closed at once.',
  },
  'prefer-ip': {
    ...plain(decodePreferIp),
    default: 'prefer-ipv6',
    reload: 'live',
    zero: 'default',
    help: 'Which address family of Telegram is tried first, or at all.',
  },
  'auto-update': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Fetch the addresses of data centres that Telegram publishes, once an hour.',
  },
  'tolerate-time-skewness': {
    ...DURATION,
    default: 5000,
    reload: 'restart',
    zero: 'default',
    help: 'How far the clock of a client may be off.',
  },
  'allow-fallback-on-unknown-dc': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Send clients that ask for an unknown data centre to DC 2.',
  },
  'public-ipv4': {
    ...plain(decodePublicIpv4),
    default: null,
    reload: 'live',
    zero: 'default',
    help: 'The IPv4 address under which clients reach this host.',
  },
  'public-ipv6': {
    ...plain(decodePublicIpv6),
    default: null,
    reload: 'live',
    zero: 'default',
    help: 'The IPv6 address under which clients reach this host.',
  },
  'shutdown-timeout': {
    ...DURATION,
    default: 30_000,
    reload: 'live',
    help: 'How long open connections may go on after a stop was asked for.',
  },
  'domain-fronting-port': {
    ...optional(PORT),
    default: null,
    reload: 'live',
    zero: 'default',
    deprecated: { instead: 'domain-fronting.port' },
    help: 'The port of the fronting host, if domain-fronting.port does not give it.',
  },
  'domain-fronting-ip': {
    ...optional(plain(decodeIp)),
    default: null,
    reload: 'live',
    zero: 'default',
    deprecated: {
      instead: 'domain-fronting.host',
      ignored: 'config option "domain-fronting-ip" is deprecated and ignored',
    },
    help: 'Has no effect.',
  },
  'domain-fronting-proxy-protocol': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    deprecated: { instead: 'domain-fronting.proxy-protocol' },
    help: 'The same as domain-fronting.proxy-protocol; either turns it on.',
  },
}
