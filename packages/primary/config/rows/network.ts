import type { DnsConfig, UpstreamProxy } from '#shared/config'

import { decodeIp } from '../address.ts'
import { decodeByteSize } from '../byte-size.ts'
import { decodeDns, formatDns } from '../dns.ts'
import { BOOLEAN, byteSize, COUNT, DURATION, optional, plain } from '../formats.ts'
import type { Rows } from '../schema-row.ts'
import { decodeProxies, showProxies } from '../upstream-proxy.ts'

/** A socket option is a signed 32-bit integer. */
const MAX_LOWAT_BYTES = 2 ** 30

export interface NetworkValues {
  'network.dns': DnsConfig
  'network.doh-ip': string | null
  'network.proxies': readonly UpstreamProxy[]
  'network.timeout.tcp': number
  'network.timeout.http': number
  'network.timeout.idle': number
  'network.timeout.handshake': number
  'network.keep-alive.disabled': boolean
  'network.keep-alive.idle': number
  'network.keep-alive.interval': number
  'network.keep-alive.count': number
  'network.tcp-not-sent-lowat': number
}

export const NETWORK_ROWS: Rows<NetworkValues> = {
  'network.dns': {
    decode: decodeDns,
    show: formatDns,
    default: { kind: 'system' },
    reload: 'live',
    zero: 'default',
    help: 'How host names are resolved: "system", "udp://IP", "tls://host" or "https://host/path".',
  },
  'network.doh-ip': {
    ...optional(plain(decodeIp)),
    default: null,
    reload: 'live',
    zero: 'default',
    deprecated: { instead: 'network.dns' },
    help: 'DNS over HTTPS at this address, if network.dns does not say otherwise.',
  },
  'network.proxies': {
    decode: decodeProxies,
    show: showProxies,
    default: [],
    reload: 'live',
    zero: 'default',
    sensitive: true,
    help: 'SOCKS5 servers on the way to Telegram, taken in turn; "" is a direct connection.',
  },
  'network.timeout.tcp': {
    ...DURATION,
    default: 5000,
    reload: 'live',
    zero: 'default',
    help: 'One outbound connect.',
  },
  'network.timeout.http': {
    ...DURATION,
    default: 10_000,
    reload: 'live',
    zero: 'default',
    help: 'One whole HTTP request of the proxy itself.',
  },
  'network.timeout.idle': {
    ...DURATION,
    default: 300_000,
    reload: 'live',
    zero: 'default',
    help: 'A connection that is silent in both directions for so long is closed.',
  },
  'network.timeout.handshake': {
    ...DURATION,
    default: 10_000,
    reload: 'live',
    zero: 'default',
    help: 'From accept to the end of the handshake.',
  },
  'network.keep-alive.disabled': {
    ...BOOLEAN,
    default: false,
    reload: 'live',
    help: 'Send no TCP keep-alive probes, neither to clients nor to Telegram and the site.',
  },
  'network.keep-alive.idle': {
    ...DURATION,
    default: 15_000,
    reload: 'live',
    zero: 'default',
    help: 'Silence before the first probe; to clients never sooner than after 30 s.',
  },
  'network.keep-alive.interval': {
    ...DURATION,
    default: 15_000,
    reload: 'live',
    zero: 'default',
    help: 'Time between two probes.',
  },
  'network.keep-alive.count': {
    ...COUNT,
    default: 9,
    reload: 'live',
    zero: 'default',
    help: 'Probes without an answer before the connection counts as dead.',
  },
  'network.tcp-not-sent-lowat': {
    ...byteSize(decodeByteSize({ minBytes: 1, maxBytes: MAX_LOWAT_BYTES, why: '' })),
    default: 131_072,
    reload: 'live',
    zero: 'default',
    help: 'How much unsent data the kernel may hold for one connection.',
  },
}
