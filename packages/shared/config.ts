import type { DcTable, HostPort, PreferIp } from './dc.ts'
import type { Secret } from './secret.ts'

/**
 * The configuration as the program uses it: validated, defaults filled in, plain data that crosses to the worker
 * threads. A snapshot: replaced whole, never changed.
 */
export interface ProxyConfig {
  readonly debug: boolean
  /** Sorted bytewise by name. Never empty. */
  readonly users: readonly UserConfig[]
  readonly bindTo: readonly HostPort[]
  /** Length of the queue of connections that the kernel has accepted and we have not. */
  readonly listenBacklog: number
  /** Every thread listens for itself; other processes may do so too. */
  readonly reusePort: boolean
  /** Every client connection begins with a PROXY header. */
  readonly proxyProtocolListener: boolean
  /** Networks whose PROXY headers are believed, as CIDR. Never empty. */
  readonly proxyProtocolTrusted: readonly string[]
  /** Stats API, or null for none. */
  readonly apiBindTo: HttpAddress | null
  /** What write calls of the API have to show; null: there are none. */
  readonly apiToken: string | null
  /** Host names, in small letters, under which the API may be asked besides those that nobody else can have; `*` is all. */
  readonly apiAllowedHosts: readonly string[]
  /** In front of every path of the API: begins with a slash and ends without, or is empty. */
  readonly apiPathPrefix: string
  /** Absolute path of the file that keeps totals over restarts, or null. */
  readonly stateFile: string | null
  /** Connections held at once, handshaking and fronted ones included. */
  readonly concurrency: number
  readonly preferIp: PreferIp
  readonly tolerateTimeSkewnessMs: number
  readonly allowFallbackOnUnknownDc: boolean
  readonly publicIpv4: string | null
  readonly publicIpv6: string | null
  /** Fetch the addresses of data centres that Telegram publishes. */
  readonly autoUpdate: boolean
  readonly shutdownTimeoutMs: number
  readonly throttle: ThrottleConfig
  readonly domainFronting: DomainFrontingConfig
  readonly network: NetworkConfig
  readonly defense: DefenseConfig
  readonly stats: StatsConfig
  readonly performance: PerformanceConfig
  /** The data-centre table to dial: the built-in one with the operator's `[dc]` entries in place. */
  readonly dcs: DcTable
  /** Ways to single data centres, by their number, in place of `network.proxies`. No list is empty. */
  readonly dcRoutes: DcRoutes
}

export type DcRoutes = Readonly<Record<number, readonly UpstreamProxy[]>>

export interface UserConfig {
  readonly name: string
  /** At least one; several when a person has links with several hosts. */
  readonly secrets: readonly Secret[]
  /** null: as much as the user likes. */
  readonly quota: QuotaConfig | null
  /** What a connection gets that a limit of the user's own refuses. */
  readonly overLimit: RefuseAction
}

export interface QuotaConfig {
  /** Both directions together. */
  readonly limitBytes: number
  /** After which it begins anew. */
  readonly period: QuotaPeriod
}

/** By the calendar in UTC, weeks from Monday; `total` never ends. */
export const QUOTA_PERIODS = ['day', 'week', 'month', 'total'] as const
export type QuotaPeriod = (typeof QUOTA_PERIODS)[number]

/** Where an HTTP server of ours listens: TCP, or the absolute path of a UNIX socket (decision C6). */
export type HttpAddress = HostPort | UnixSocketAddress

export interface UnixSocketAddress {
  readonly path: string
}

/** What becomes of a connection that a limit or a list refuses. */
export type RefuseAction = 'close' | 'front'

export interface ThrottleConfig {
  /** Above so many connections in total, users above their fair share get no more; 0: off (decision O14). */
  readonly maxConnections: number
  readonly checkIntervalMs: number
  readonly action: RefuseAction
}

export interface DomainFrontingConfig {
  /** Dial target for every fronted connection, or null for the host of the secret. */
  readonly host: string | null
  readonly port: number
  /** Fronted connections held at once over all threads. */
  readonly maxConnections: number
  /** Begin connections to the fronting host with a PROXY header, version 2. */
  readonly proxyProtocol: boolean
  /** Take the ways of `network.proxies`, scouts included; false: directly. */
  readonly viaProxies: boolean
}

export interface NetworkConfig {
  readonly dns: DnsConfig
  /** Ways to Telegram, taken in turn; empty: direct. */
  readonly proxies: readonly UpstreamProxy[]
  readonly timeout: {
    /** One outbound connect. */
    readonly tcpMs: number
    readonly httpMs: number
    /** Both directions silent. */
    readonly idleMs: number
    /** From accept to the end of the obfuscated2 handshake. */
    readonly handshakeMs: number
  }
  /** TCP keep-alive of both sides. */
  readonly keepAlive: {
    readonly enabled: boolean
    /** Silence before the first probe. */
    readonly idleMs: number
    readonly intervalMs: number
    /** Probes without an answer before the connection counts as dead. */
    readonly count: number
  }
  /** What the kernel may hold of one connection that is not on its way yet. */
  readonly tcpNotSentLowatBytes: number
}

/** How host names are resolved (operator.md §1.2, DNS URI). */
export type DnsConfig =
  | { readonly kind: 'system' }
  /** `host` is an IP literal without brackets. */
  | { readonly kind: 'udp'; readonly host: string; readonly port: number }
  | { readonly kind: 'tls'; readonly host: string; readonly port: number }
  /** `path` begins with a slash and contains the query, if any. */
  | { readonly kind: 'https'; readonly host: string; readonly port: number; readonly path: string }

/** One way to Telegram. */
export type UpstreamProxy = { readonly kind: 'direct' } | Socks5Proxy

export interface Socks5Proxy {
  readonly kind: 'socks5'
  /** IP literal without brackets, or a host name. */
  readonly host: string
  readonly port: number
  /** null: the server does not ask. */
  readonly username: string | null
  readonly password: string | null
  /** Failures in a row after which the server is left alone. */
  readonly openThreshold: number
  /** How long it is left alone before it is tried again. */
  readonly halfOpenTimeoutMs: number
  /** Failures are forgotten after so long without another one. */
  readonly resetFailuresTimeoutMs: number
}

export interface DefenseConfig {
  /** Connections that have not finished their handshake, in all; 0: no limit. */
  readonly maxHandshakes: number
  /** Of these from one IPv4 address or one IPv6 network of 64 bits; 0: no limit. */
  readonly maxHandshakesPerAddress: number
  readonly antiReplay: {
    readonly enabled: boolean
    readonly maxSizeBytes: number
  }
  readonly blocklist: IpListConfig
  readonly allowlist: IpListConfig
  readonly doppelganger: DoppelgangerConfig
}

export interface IpListConfig {
  readonly enabled: boolean
  readonly sources: readonly IpListSource[]
  readonly downloadConcurrency: number
  readonly updateEachMs: number
  readonly action: RefuseAction
}

export type IpListSource =
  | { readonly kind: 'url'; readonly url: string }
  /** Absolute. It was there when the configuration was read. */
  | { readonly kind: 'file'; readonly path: string }

export interface DoppelgangerConfig {
  /** Pages whose timing and certificate are learnt, all https. */
  readonly urls: readonly string[]
  readonly repeatsPerRaid: number
  readonly raidEachMs: number
  /** Dynamic TLS record sizes. */
  readonly drs: boolean
  readonly pacing: Pacing
  /** See how the fronting host answers a handshake, and answer clients like it (decision W5). */
  readonly learnFront: boolean
}

/** Which part of a download is paced like the imitated site (decision W11). */
export type Pacing = 'burst' | 'full' | 'off'

export type StatsdTagFormat = 'datadog' | 'influxdb' | 'graphite'

export interface StatsConfig {
  /** Users whom metrics show one by one; the others are summed (decision O4). */
  readonly perUserLimit: number
  readonly statsd: {
    readonly enabled: boolean
    /** IP literal without brackets, or a host name. */
    readonly address: HostPort
    readonly metricPrefix: string
    readonly tagFormat: StatsdTagFormat
  }
  readonly prometheus: {
    readonly enabled: boolean
    readonly bindTo: HttpAddress
    /** Begins with a slash. */
    readonly httpPath: string
    readonly metricPrefix: string
  }
}

export interface PerformanceConfig {
  /** Worker threads; `"auto"` is resolved when the file is read. */
  readonly workers: number
  /** Let the data centre encrypt with the client's own downlink stream (decision W8). */
  readonly fastMode: boolean
  readonly cipher: CipherChoice
}

/** Who does AES-256-CTR: node:crypto, or the OpenSSL below it called directly. */
export const CIPHER_NAMES = ['node', 'native'] as const
export type CipherName = (typeof CIPHER_NAMES)[number]
export type CipherChoice = CipherName | 'auto'
