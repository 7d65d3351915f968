import type { HostPort } from '#shared/dc'
import { dialFirst } from '#shared/dial/dial'
import { openSocket } from '#shared/dial/open-socket'
import { KeptConnection } from './kept-connection.ts'
import { StreamConnection } from './stream-connection.ts'

const CONNECT_TIMEOUT_MS = 3000
/** Truncated answers are rare: there is nothing to keep a connection for. */
const IDLE_MS = 0

/** DNS over TCP (RFC 7766), for answers that do not fit into a datagram. */
export function createTcpTransport(server: HostPort): KeptConnection {
  return new KeptConnection('tcp', async (signal) => {
    const { connection } = await dialFirst({
      addresses: [server],
      timeoutMs: CONNECT_TIMEOUT_MS,
      signal,
      connect: openSocket,
      discard: (late) => void late.destroy(),
    })
    return new StreamConnection(connection, IDLE_MS)
  })
}
