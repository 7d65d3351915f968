import { isIP, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { dialFirst } from '#shared/dial/dial'
import { openSocket } from '#shared/dial/open-socket'
import { cancelled } from './transport.ts'
import type { ServerAddress } from './server-address.ts'

/** One address that is silent must not use up the time that the others need. */
const CONNECT_TIMEOUT_MS = 3000

export interface SecureSocketOptions {
  readonly protocols: readonly string[]
  /** PEM certificates to trust in place of the system's. */
  readonly ca?: string
}

/**
 * A TLS connection to a name server whose certificate is for its name or its address, and trusted.
 * @throws Error with the reason
 */
export async function openSecureSocket(
  server: ServerAddress,
  { protocols, ca }: SecureSocketOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  try {
    const { connection } = await dialFirst<Socket>({
      addresses: await server.list(),
      timeoutMs: CONNECT_TIMEOUT_MS,
      signal,
      connect: openSocket,
      discard: (late) => void late.destroy(),
    })
    return await shakeHands(
      connection,
      server.host,
      { protocols, ...(ca === undefined ? {} : { ca }) },
      signal,
    )
  } catch (error) {
    server.doubt()
    throw error
  }
}

function shakeHands(
  socket: Socket,
  host: string,
  { protocols, ca }: SecureSocketOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = connect({
      socket,
      // What the certificate has to be for; an address is no server name (RFC 6066 §3).
      host,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      minVersion: 'TLSv1.2',
      ALPNProtocols: [...protocols],
      ...(ca === undefined ? {} : { ca }),
    })
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort)
      tls.destroy()
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => fail(cancelled())
    // Both stay: an error that nobody listens to would end the process.
    tls.on('error', fail)
    tls.on('close', () => fail(new Error('the server closed the connection during the TLS handshake')))
    tls.once('secureConnect', () => {
      signal.removeEventListener('abort', onAbort)
      resolve(tls)
    })
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
  })
}
