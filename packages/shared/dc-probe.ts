import type { HostPort } from './dc.ts'

/** What one probe of a data centre is given: plain data, it crosses to a thread. */
export interface DcProbeTask {
  readonly dc: number
  /** In the order to try. */
  readonly addresses: readonly HostPort[]
  /** The SOCKS5 server to go through, or null for none. */
  readonly upstream: SocksUpstream | null
  /** For all addresses together. */
  readonly budgetMs: number
}

export interface SocksUpstream {
  /** IP literal without brackets, or a host name. */
  readonly host: string
  readonly port: number
  readonly username: string | null
  readonly password: string | null
}

export type DcProbeResult =
  | { readonly ok: true; readonly address: HostPort; readonly rttMs: number }
  /** One reason for each address that was tried. */
  | { readonly ok: false; readonly reasons: readonly string[] }
