import type { HostPort } from './dc.ts'
import type { SiteRoute } from './dial/dial-site.ts'
import type { FrontFlights } from './traffic-profile.ts'

/** What a probe of one fronting host is given: plain data, it crosses to a thread. */
export interface FrontProbeTask {
  /** What the hello asks for: the host of a secret. */
  readonly serverName: string
  /** In the order to try. */
  readonly addresses: readonly HostPort[]
  /** null: directly. */
  readonly route: SiteRoute | null
  /** Begin connections with a PROXY header that says "a health check". */
  readonly proxyProtocol: boolean
  /** Handshakes to look at for each kind of hello, one after another. */
  readonly repeats: number
  /** For each of them, the connection included. */
  readonly timeoutMs: number
}

export type FrontProbeResult =
  | { readonly ok: true; readonly flights: FrontFlights }
  | { readonly ok: false; readonly reason: string }

/** What a visit of one page is given. */
export interface VisitTask {
  /** https */
  readonly url: string
  /** Of its host, in the order to try. */
  readonly addresses: readonly HostPort[]
  /** null: directly. */
  readonly route: SiteRoute | null
  /** For the whole visit. */
  readonly timeoutMs: number
}

export type VisitResult =
  | {
      readonly ok: true
      /** Times between two records of the answer, ns; 0 for records that came in one piece. */
      readonly gapsNs: readonly number[]
      /** Payload of the encrypted records of the server's handshake, bytes; 0 when it was not TLS 1.3. */
      readonly flightBytes: number
      /** Where a redirect leads, or null. */
      readonly location: string | null
    }
  | { readonly ok: false; readonly reason: string }
