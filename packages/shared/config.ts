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
  /** Stats API, or null for none. */
  readonly apiBindTo: HostPort | null
  /** Connections held at once, handshaking and fronted ones included. */
  readonly concurrency: number
  readonly preferIp: PreferIp
  readonly tolerateTimeSkewnessMs: number
  readonly allowFallbackOnUnknownDc: boolean
  readonly publicIpv4: string | null
  readonly publicIpv6: string | null
  readonly shutdownTimeoutMs: number
  readonly domainFronting: DomainFrontingConfig
  readonly network: NetworkConfig
  readonly defense: DefenseConfig
  readonly stats: StatsConfig
  readonly performance: PerformanceConfig
  /** The data-centre table to dial: the built-in one with the operator's `[dc]` entries in place. */
  readonly dcs: DcTable
}

export interface UserConfig {
  readonly name: string
  /** At least one; several when a person has links with several hosts. */
  readonly secrets: readonly Secret[]
}

export interface DomainFrontingConfig {
  /** Dial target for every fronted connection, or null for the host of the secret. */
  readonly host: string | null
  readonly port: number
  /** Fronted connections held at once over all threads. */
  readonly maxConnections: number
}

export interface NetworkConfig {
  readonly timeout: {
    /** One outbound connect. */
    readonly tcpMs: number
    readonly httpMs: number
    /** Both directions silent. */
    readonly idleMs: number
    /** From accept to the end of the obfuscated2 handshake. */
    readonly handshakeMs: number
  }
}

export interface DefenseConfig {
  readonly antiReplay: {
    readonly enabled: boolean
    readonly maxSizeBytes: number
  }
}

export interface StatsConfig {
  readonly prometheus: {
    readonly enabled: boolean
    readonly bindTo: HostPort
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
}
