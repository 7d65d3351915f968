import type { HostPort } from '#shared/dc'
import { KeptConnection } from './kept-connection.ts'
import { openSecureSocket } from './secure-socket.ts'
import { ServerAddress } from './server-address.ts'
import { StreamConnection } from './stream-connection.ts'
import { IDLE_CLOSE_MS } from './transport.ts'

/** DNS over TLS (RFC 7858). */
export function createTlsTransport(server: HostPort, ca?: string): KeptConnection {
  const address = new ServerAddress(server)
  const options = { protocols: ['dot'], ...(ca === undefined ? {} : { ca }) }
  return new KeptConnection(
    'tls',
    async (signal) => new StreamConnection(await openSecureSocket(address, options, signal), IDLE_CLOSE_MS),
  )
}
