import { once } from 'node:events'
import { isIP, type Socket } from 'node:net'
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from 'node:tls'

/** A PROXY header that says "the proxy itself, for a health check" (LOCAL), for servers which insist on one. */
const PROXY_V2_LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')

export interface TlsProbeOptions {
  readonly serverName: string
  /** Begin with a PROXY header: `domain-fronting.proxy-protocol`. */
  readonly proxyProtocol: boolean
  readonly signal: AbortSignal
  /** PEM certificates to trust in place of the system's. */
  readonly ca?: string
}

export interface TlsFacts {
  /** Such as `TLSv1.3`. */
  readonly protocol: string
  /** Such as `X25519MLKEM768`; empty when there was no key exchange to speak of. */
  readonly group: string
  readonly certificate: {
    readonly validFromMs: number
    readonly validToMs: number
    /** Why it is not one for the server name, or null. */
    readonly mismatch: string | null
    /** Why its chain is not trusted (OpenSSL's code), or null. */
    readonly untrusted: string | null
  }
}

/**
 * A real TLS handshake over an open connection, which is closed afterwards. Whatever is wrong with the certificate is
 * a fact to report, not an error.
 * @throws Error when the handshake fails
 */
export async function probeTls(socket: Socket, options: TlsProbeOptions): Promise<TlsFacts> {
  const { serverName, signal } = options
  if (options.proxyProtocol) socket.write(PROXY_V2_LOCAL)
  const tls = connect({
    socket,
    // RFC 6066 §3: an address is no server name.
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ALPNProtocols: ['h2', 'http/1.1'],
    rejectUnauthorized: false,
    // Asked below: together with the chain only one of both would be told.
    checkServerIdentity: () => undefined,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  })
  // What comes after the handshake is nobody's, and would end the process.
  tls.on('error', () => {})
  try {
    await Promise.race([once(tls, 'secureConnect', { signal }), rejectOnClose(tls)])
    const facts = readFacts(tls, serverName)
    // With our last message of the handshake: a site's log need not look as if it was attacked.
    tls.destroySoon()
    return facts
  } catch (error) {
    tls.destroy()
    socket.destroy()
    throw error
  }
}

/** A server that hangs up in the middle of the handshake causes no 'error'. */
async function rejectOnClose(tls: TLSSocket): Promise<never> {
  await once(tls, 'close')
  throw new Error('closed during the handshake')
}

function readFacts(tls: TLSSocket, serverName: string): TlsFacts {
  const certificate = tls.getPeerCertificate()
  // Documented as an error, given as its code.
  const untrusted = tls.authorizationError as Error | string | null | undefined
  return {
    protocol: tls.getProtocol() ?? 'unknown',
    group: readGroup(tls),
    certificate: {
      validFromMs: Date.parse(certificate.valid_from),
      validToMs: Date.parse(certificate.valid_to),
      mismatch: explainMismatch(serverName, certificate),
      untrusted: untrusted === null || untrusted === undefined ? null : String(untrusted),
    },
  }
}

/** Node knows hybrid groups as `{ type: 'TLSGroup', name }` since OpenSSL 3.5. */
function readGroup(tls: TLSSocket): string {
  const info = tls.getEphemeralKeyInfo()
  return info !== null && 'name' in info && typeof info.name === 'string' ? info.name : ''
}

function explainMismatch(serverName: string, certificate: PeerCertificate): string | null {
  if (checkServerIdentity(serverName, certificate) === undefined) return null
  const names = certificate.subjectaltname ?? String(certificate.subject?.CN ?? 'nobody')
  return names.replace(/\b(?:DNS|IP Address):/g, '')
}
