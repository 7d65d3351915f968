import type { TLSSocket } from 'node:tls'
import { formatHostPort, type HostPort } from '#shared/dc'
import { KeptConnection, withinOpenTimeout } from './kept-connection.ts'
import { openSecureSocket } from './secure-socket.ts'
import { ServerAddress } from './server-address.ts'
import { IDLE_CLOSE_MS } from './transport.ts'

const DEFAULT_PORT = 443
/** In the order we like them; RFC 8484 §5.2 recommends HTTP/2, and some servers speak nothing else. */
const PROTOCOLS = ['h2', 'http/1.1'] as const

export interface HttpsServer extends HostPort {
  /** With the query, if any. */
  readonly path: string
}

/** DNS over HTTPS (RFC 8484): POST, over HTTP/2 if the server has it. */
export function createHttpsTransport(server: HttpsServer, ca?: string): KeptConnection {
  const address = new ServerAddress(server)
  const options = { protocols: PROTOCOLS, ...(ca === undefined ? {} : { ca }) }
  const open = (signal: AbortSignal): Promise<TLSSocket> => openSecureSocket(address, options, signal)
  // As in a URL: without the port that goes without saying.
  const full = formatHostPort(server)
  const authority = server.port === DEFAULT_PORT ? full.slice(0, full.lastIndexOf(':')) : full
  const target = { authority, path: server.path }
  return new KeptConnection('https', async (signal) => {
    // Not at the top: with HTTP in it a thread starts 15 ms later and is 3 MB larger, and few ask over it.
    const [{ connect }, { Http1Pool }, { Http2Connection }] = await Promise.all([
      import('node:http2'),
      import('./http1-pool.ts'),
      import('./http2-connection.ts'),
    ])
    const socket = await open(signal)
    if (socket.alpnProtocol !== 'h2')
      return new Http1Pool(socket, () => withinOpenTimeout(open), target, IDLE_CLOSE_MS)
    const session = connect(`https://${authority}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    })
    return new Http2Connection(session, target, IDLE_CLOSE_MS)
  })
}
