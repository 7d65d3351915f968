import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

/** Sites that a fronted connection ends up at: one that records bytes, one that is a real HTTPS server. */

/** One connection at the recording site. Emits 'progress' on bytes and 'close'. */
export class SiteConnection extends EventEmitter<{ progress: []; close: [] }> {
  readonly socket: Socket
  readonly remotePort: number
  /** Everything that arrived so far. */
  received: Buffer
  /** The peer sent FIN. */
  ended: boolean

  constructor(socket: Socket) {
    super()
    this.socket = socket
    this.remotePort = socket.remotePort ?? 0
    this.received = Buffer.alloc(0)
    this.ended = false
  }

  /** The first bytes, as soon as there are so many; rejects when the connection closes before. */
  async waitReceived(bytes: number): Promise<Buffer> {
    while (this.received.length < bytes) {
      if (this.socket.closed) throw new Error(`closed after ${this.received.length} of ${bytes} bytes`)
      await Promise.race([once(this, 'progress'), once(this, 'close')])
    }
    return this.received.subarray(0, bytes)
  }

  async waitClosed(): Promise<void> {
    if (!this.socket.closed) await once(this, 'close')
  }
}

export interface RecordingSiteOptions {
  readonly port?: number
  readonly host?: string
  /** Sent once the first bytes are there; or made from them, null for "not yet". Nothing unless given. */
  readonly reply?: Uint8Array | ((received: Buffer) => Uint8Array | null)
  /** FIN after the reply. */
  readonly endAfterReply?: boolean
}

export interface RecordingSite {
  readonly port: number
  readonly connections: readonly SiteConnection[]
  /** The oldest connection nobody has asked for yet. */
  nextConnection(): Promise<SiteConnection>
  close(): Promise<void>
}

/** A plain TCP server that keeps what it is sent. */
export async function startRecordingSite(options: RecordingSiteOptions = {}): Promise<RecordingSite> {
  const connections: SiteConnection[] = []
  const claims: ((connection: SiteConnection) => void)[] = []
  let claimed = 0

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const connection = new SiteConnection(socket)
    let replied = options.reply === undefined
    // No encoding is set, so chunks are Buffers.
    socket.on('data', (chunk) => {
      connection.received = Buffer.concat([connection.received, chunk as Buffer])
      const reply = replied ? null : makeReply(options.reply, connection.received)
      if (reply !== null) {
        replied = true
        socket.write(reply)
        if (options.endAfterReply) socket.end()
      }
      connection.emit('progress')
    })
    socket.on('end', () => {
      connection.ended = true
      connection.emit('progress')
      socket.end()
    })
    // Resets are part of what tests do; 'close' follows.
    socket.on('error', () => {})
    socket.on('close', () => connection.emit('close'))
    connections.push(connection)
    const claim = claims.shift()
    if (claim !== undefined) {
      claimed += 1
      claim(connection)
    }
  })
  const stop = trackSockets(server)
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port, // a TCP server has no other kind of address
    connections,
    nextConnection: () =>
      new Promise((resolve) => {
        const connection = connections[claimed]
        if (connection === undefined) {
          claims.push(resolve)
        } else {
          claimed += 1
          resolve(connection)
        }
      }),
    close: stop,
  }
}

function makeReply(reply: RecordingSiteOptions['reply'], received: Buffer): Uint8Array | null {
  return typeof reply === 'function' ? reply(received) : (reply ?? null)
}

/** The self-signed certificate of the HTTPS site: front.test, localhost, example.com, *.example.com, 127.0.0.1. */
export const FRONT_SITE_CERTIFICATE: string = readFixture('front-site-cert.pem')

export interface SiteRequest {
  readonly method: string
  readonly path: string
  /** What the client asked for by SNI, empty without one. */
  readonly serverName: string
}

export interface HttpsSite {
  readonly port: number
  readonly requests: readonly SiteRequest[]
  /** TCP connections so far, whatever became of them. */
  readonly acceptedCount: number
  close(): Promise<void>
}

/** An HTTPS server that answers every path with the given body. */
export async function startHttpsSite(options: { port?: number; body?: string } = {}): Promise<HttpsSite> {
  const requests: SiteRequest[] = []
  let acceptedCount = 0
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { servername } = request.socket as Socket & { servername?: string | false } // a TLSSocket: the server is HTTPS
    requests.push({
      method: request.method ?? '',
      path: request.url ?? '',
      serverName: servername === undefined || servername === false ? '' : servername,
    })
    response.setHeader('content-type', 'text/plain')
    response.end(options.body ?? 'it is a site\n')
  }
  const server = createHttpsServer(
    { key: readFixture('front-site-key.pem'), cert: FRONT_SITE_CERTIFICATE },
    answer,
  )
  // Scanners and tests break TLS on purpose.
  server.on('tlsClientError', () => {})
  server.on('connection', () => {
    acceptedCount += 1
  })
  const stop = trackSockets(server)
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port, // a TCP server has no other kind of address
    requests,
    get acceptedCount() {
      return acceptedCount
    },
    close: stop,
  }
}

/** Returns what stops the server and cuts every connection. */
function trackSockets(server: Server): () => Promise<void> {
  const live = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    live.add(socket)
    socket.on('close', () => live.delete(socket))
  })
  return async () => {
    server.close()
    for (const socket of live) socket.destroy()
    await once(server, 'close')
  }
}

function readFixture(name: string): string {
  return readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8')
}
