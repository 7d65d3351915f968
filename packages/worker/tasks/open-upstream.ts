import type { Socket } from 'node:net'
import { SocksClient } from 'socks'

import { formatHostPort, type HostPort } from '#shared/dc'
import type { SocksUpstream } from '#shared/dc-probe'
import { openSocket } from '#shared/dial/open-socket'

/**
 * A TCP connection to `address`, through a SOCKS5 server (RFC 1928, RFC 1929) or directly.
 * @throws Error with the reason, never with the credentials
 */
export async function openThrough(
  upstream: SocksUpstream | null,
  address: HostPort,
  signal: AbortSignal,
): Promise<Socket> {
  if (upstream === null) return openSocket(address, signal)
  const { host, port, username, password } = upstream
  let server: Socket
  try {
    server = await openSocket({ host, port }, signal)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`proxy ${formatHostPort({ host, port })}: ${reason}`, { cause })
  }
  // The library has no way to be cancelled but the end of the socket it was given.
  const cancel = (): void => void server.destroy()
  signal.addEventListener('abort', cancel)
  try {
    const { socket } = await SocksClient.createConnection({
      command: 'connect',
      proxy: {
        host,
        port,
        type: 5,
        ...(username === null ? {} : { userId: username }),
        ...(password === null ? {} : { password }),
      },
      destination: { host: address.host, port: address.port },
      existing_socket: server,
    })
    return socket
  } catch (error) {
    server.destroy()
    // Not its cause: the library's error carries the options, and so the password.
    const reason = error instanceof Error ? error.message : 'the negotiation failed'
    // oxlint-disable-next-line preserve-caught-error -- see above
    throw new Error(`proxy ${formatHostPort({ host, port })}: ${reason}`)
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
