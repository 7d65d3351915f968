import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import type { HostPort } from '#shared/dc'
import { dialSite, type SiteRoute } from '#shared/dial/dial-site'
import { browserTls } from './browser-tls.ts'
import { RecordTap } from './record-tap.ts'

export interface TappedTls {
  readonly tls: TLSSocket
  readonly tap: RecordTap
  /** Session tickets so far. */
  readonly tickets: () => number
}

export interface OpenTappedOptions {
  readonly serverName: string
  readonly addresses: readonly HostPort[]
  readonly route: SiteRoute | null
  /** ALPN, in order of preference. */
  readonly protocols: readonly string[]
  /** Offer X25519MLKEM768 as well. */
  readonly isHybrid: boolean
  /** Sent before the hello. */
  readonly preamble?: Buffer
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * A real TLS handshake, every record of it noted. The caller destroys `tls`.
 * @throws Error when there is no connection or no handshake
 */
export async function openTapped(options: OpenTappedOptions): Promise<TappedTls> {
  const { serverName, protocols, isHybrid, preamble, signal } = options
  const raw = await dialSite(options)
  if (preamble !== undefined) raw.write(preamble)
  const tap = new RecordTap(raw)
  tap.on('error', () => {}) // the TLS side is told as well
  const tls = connect({ ...browserTls(serverName, protocols, isHybrid), socket: tap })
  let tickets = 0
  tls.on('session', () => {
    tickets += 1
  })
  // What comes after the handshake is nobody's, and would end the thread.
  tls.on('error', () => {})
  try {
    await Promise.race([once(tls, 'secureConnect', { signal }), rejectOnClose(tls)])
  } catch (error) {
    tls.destroy()
    tap.destroy()
    throw error
  }
  return { tls, tap, tickets: () => tickets }
}

/** A server that hangs up in the middle of the handshake causes no 'error'. */
async function rejectOnClose(tls: TLSSocket): Promise<never> {
  await once(tls, 'close')
  throw new Error('closed during the handshake')
}

/** Why something over such a connection failed, for a log line. */
export function describeFailure(error: unknown, signal: AbortSignal, timeoutMs: number): string {
  if (signal.aborted) return `no answer within ${timeoutMs} ms`
  return error instanceof Error ? error.message : String(error)
}
