import { readFileSync } from 'node:fs'
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import dnsPacket, { type Answer } from 'dns-packet'

/** For `localhost` and `127.0.0.1`, by nobody that a system trusts. */
export const DNS_SERVER_CERT: string = readFileSync(
  new URL('../fixtures/front-site-cert.pem', import.meta.url),
  'utf8',
)
const KEY = readFileSync(new URL('../fixtures/front-site-key.pem', import.meta.url))

export type ServedTransport = 'udp' | 'tcp' | 'tls' | 'https'

export interface AskedQuestion {
  readonly transport: ServedTransport
  readonly name: string
  readonly type: string
  readonly id: number
  /** Of the asker. */
  readonly port: number
}

/** What a question gets. Bytes are sent as they are, in place of an answer; null is silence. */
export type Reply =
  | {
      readonly answers?: readonly Answer[]
      readonly authorities?: readonly Answer[]
      readonly rcode?: number
      readonly truncated?: boolean
    }
  | Buffer
  | null

export type Answerer = (question: AskedQuestion) => Reply | Promise<Reply>

const RCODE_MASK = 0xf

/** Node gives both versions the same surface, as far as a name server needs it. */
type AnyRequest = Http2ServerRequest | IncomingMessage
type AnyResponse = Pick<ServerResponse, 'destroyed' | 'end' | 'statusCode' | 'setHeader'>

/** A name server on loopback that speaks real DNS over UDP, TCP, TLS and HTTPS, and says what the test tells it to. */
export class TestDnsServer {
  readonly asked: AskedQuestion[] = []
  /** Connections that were accepted, by transport. */
  readonly accepted: Record<ServedTransport, number> = { udp: 0, tcp: 0, tls: 0, https: 0 }
  readonly httpVersions: string[] = []
  readonly sessions = new Set<ServerHttp2Session>()
  readonly sockets = new Set<Socket>()
  #port = 0
  #tlsPort = 0
  #httpsPort = 0
  readonly #answer: Answerer
  readonly #closers: (() => void)[] = []

  constructor(answer: Answerer) {
    this.#answer = answer
  }

  /** Of UDP and TCP. */
  get port(): number {
    return this.#port
  }

  get tlsPort(): number {
    return this.#tlsPort
  }

  get httpsPort(): number {
    return this.#httpsPort
  }

  askedFor(name: string, type?: string): AskedQuestion[] {
    return this.asked.filter((each) => each.name === name && (type === undefined || each.type === type))
  }

  async start({ http1 = false } = {}): Promise<void> {
    await this.#listenForBoth()
    const secure = { cert: DNS_SERVER_CERT, key: KEY }
    const tls = createTlsServer({ ...secure, ALPNProtocols: ['dot'], noDelay: true }, (socket) =>
      this.#stream('tls', socket),
    )
    this.#tlsPort = await this.#listen(tls)
    const onRequest = (request: AnyRequest, response: Http2ServerResponse | ServerResponse): void =>
      this.#serveHttp(request, response as AnyResponse)
    const https = http1 ? createHttpsServer(secure, onRequest) : createSecureServer(secure, onRequest)
    https.on('session', (session: ServerHttp2Session) => {
      this.sessions.add(session)
      session.on('close', () => this.sessions.delete(session))
    })
    https.on('secureConnection', (socket: Socket) => this.#keep('https', socket))
    this.#httpsPort = await this.#listen(https)
  }

  /** In place of what would be answered over HTTPS. */
  httpOverride: { readonly status?: number; readonly type?: string; readonly body?: Buffer } | null = null

  close(): void {
    for (const close of this.#closers.splice(0)) close()
    for (const socket of this.sockets) socket.destroy()
  }

  /** The same port for both, as name servers have it. */
  async #listenForBoth(): Promise<void> {
    for (;;) {
      const tcp = createServer({ noDelay: true }, (socket) => this.#stream('tcp', socket))
      const port = await this.#listen(tcp)
      const udp = createSocket('udp4')
      try {
        udp.bind(port, '127.0.0.1')
        await once(udp, 'listening')
      } catch {
        udp.close() // the other protocol's port is somebody else's: take another pair
        continue
      }
      udp.on('message', (message, from) => {
        void this.#reply('udp', message, from.port).then((bytes) => {
          if (bytes !== null && !this.#isClosed(udp)) udp.send(bytes, from.port, from.address)
        })
      })
      this.#udp = udp
      this.#closers.push(() => udp.close())
      this.#port = port
      return
    }
  }

  #serveHttp(request: AnyRequest, response: AnyResponse): void {
    const { url, method, headers, socket } = request
    const isRight =
      url === '/dns-query' && method === 'POST' && headers['content-type'] === 'application/dns-message'
    if (!isRight) {
      response.statusCode = 400
      response.end()
      return
    }
    this.httpVersions.push(request.httpVersion)
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      void this.#reply('https', Buffer.concat(chunks), socket.remotePort ?? 0).then((bytes) => {
        if (bytes === null || response.destroyed) return
        const { status = 200, type = 'application/dns-message', body = bytes } = this.httpOverride ?? {}
        response.statusCode = status
        response.setHeader('content-type', type)
        response.end(body)
      })
    })
  }

  #udp: DatagramSocket | null = null

  /** A datagram from the server's own address and port. */
  sendDatagram(bytes: Buffer, port: number): void {
    this.#udp?.send(bytes, port, '127.0.0.1')
  }

  #isClosed(socket: DatagramSocket): boolean {
    try {
      socket.address()
      return false
    } catch {
      return true
    }
  }

  async #listen(server: Server): Promise<number> {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#closers.push(() => server.close())
    return (server.address() as AddressInfo).port // a TCP server's address is no path
  }

  #keep(transport: ServedTransport, socket: Socket): void {
    this.accepted[transport] += 1
    this.sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.sockets.delete(socket))
  }

  #stream(transport: 'tcp' | 'tls', socket: Socket): void {
    this.#keep(transport, socket)
    let received = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const message = received.subarray(2, 2 + received.readUInt16BE())
        received = received.subarray(2 + message.length)
        void this.#reply(transport, message, socket.remotePort ?? 0).then((bytes) => {
          if (bytes === null || socket.destroyed) return
          const length = Buffer.alloc(2)
          length.writeUInt16BE(bytes.length)
          socket.write(Buffer.concat([length, bytes]))
        })
      }
    })
  }

  async #reply(transport: ServedTransport, message: Buffer, port: number): Promise<Buffer | null> {
    const query = dnsPacket.decode(message)
    const [question] = query.questions ?? []
    if (question === undefined) return null
    const asked = { transport, name: question.name, type: question.type, id: query.id ?? 0, port }
    this.asked.push(asked)
    const reply = await this.#answer(asked)
    if (reply === null || Buffer.isBuffer(reply)) return reply
    return encodeReply(asked, reply)
  }
}

/** The message that such a question gets. */
export function encodeReply(
  asked: Pick<AskedQuestion, 'id' | 'name' | 'type'>,
  reply: Exclude<Reply, Buffer | null>,
): Buffer {
  const { answers = [], authorities = [], rcode = 0, truncated = false } = reply
  return dnsPacket.encode({
    type: 'response',
    id: asked.id,
    flags:
      dnsPacket.RECURSION_DESIRED |
      dnsPacket.RECURSION_AVAILABLE |
      (truncated ? dnsPacket.TRUNCATED_RESPONSE : 0) |
      (rcode & RCODE_MASK),
    questions: [{ name: asked.name, type: asked.type as 'A', class: 'IN' }], // the codec takes any of its names
    answers: [...answers],
    authorities: [...authorities],
  })
}

/** A server that ends with the test. */
export async function startDnsServer(
  t: TestContext,
  answer: Answerer,
  options: { http1?: boolean } = {},
): Promise<TestDnsServer> {
  const server = new TestDnsServer(answer)
  await server.start(options)
  t.after(() => server.close())
  return server
}

export const NXDOMAIN = 3
export const SERVFAIL = 2

/** Time to live in seconds. */
export function addressRecord(name: string, address: string, ttl = 300): Answer {
  return { name, type: address.includes(':') ? 'AAAA' : 'A', ttl, data: address }
}

/** What says that there is no such name, for so many seconds. */
export function soaRecord(minimum: number, ttl = 3600): Answer {
  const data = { mname: 'ns.test', rname: 'root.test', serial: 1, refresh: 1, retry: 1, expire: 1, minimum }
  return { name: 'test', type: 'SOA', ttl, data }
}
