import type { Cipheriv } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { buildClientHello, type ClientHello } from '../support/client-hello.ts'
import {
  buildClientFrame,
  connectRaw,
  parseClientSecret,
  verifyServerFlight,
  type ClientFrame,
} from '../support/faketls-client.ts'

export const CHANGE_CIPHER_SPEC: Buffer = Buffer.of(0x14, 0x03, 0x03, 0x00, 0x01, 0x01)

/** A TCP client that says what it likes, and keeps what it is told. */
export class RawPeer {
  readonly socket: Socket
  received: Buffer
  /** FIN from the other side. */
  hasEnded: boolean
  /** `ECONNRESET` and the like, null while there is none. */
  errorCode: string | null

  constructor(socket: Socket) {
    this.socket = socket
    this.received = Buffer.alloc(0)
    this.hasEnded = false
    this.errorCode = null
    socket.unref() // what a failed test left open must not keep the others from ending
    // No encoding is set, so chunks are Buffers.
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk as Buffer])
    })
    socket.on('end', () => {
      this.hasEnded = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.name
    })
  }

  static async connect(port: number): Promise<RawPeer> {
    return new RawPeer(await connectRaw({ port }))
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** The first bytes, as soon as there are so many; rejects when the connection ends before. */
  async waitReceived(bytes: number): Promise<Buffer> {
    while (this.received.length < bytes) {
      if (this.hasEnded || this.socket.closed)
        throw new Error(`ended after ${this.received.length} of ${bytes} bytes`)
      await nextEvent(this.socket, ['data', 'end', 'close'])
    }
    return this.received.subarray(0, bytes)
  }

  /** FIN or RST from the other side, whichever comes. */
  async waitOver(): Promise<void> {
    while (!this.hasEnded && !this.socket.closed) await nextEvent(this.socket, ['end', 'close'])
  }
}

async function nextEvent(socket: Socket, names: readonly string[]): Promise<void> {
  const done = new AbortController()
  try {
    await Promise.race(names.map((name) => once(socket, name, { signal: done.signal }).catch(() => {})))
  } finally {
    done.abort()
  }
}

export interface Greeted {
  readonly peer: RawPeer
  readonly key: Buffer
  readonly hello: ClientHello
  /** Position in `peer.received` behind the server's flight. */
  readonly flightBytes: number
}

/** Connect and get the server's flight, checked. Nothing was sent behind the hello. */
export async function greetProxy(port: number, secret: string): Promise<Greeted> {
  const { key, host } = parseClientSecret(secret)
  const hello = buildClientHello({ key, host })
  const peer = await RawPeer.connect(port)
  peer.write(hello.bytes)
  for (;;) {
    const flight = verifyServerFlight(key, hello, peer.received)
    if (flight !== null) return { peer, key, hello, flightBytes: flight.totalBytes }
    await peer.waitReceived(peer.received.length + 1)
  }
}

/** A frame of another transport than padded intermediate: the four tag bytes replaced behind the encryption. */
export function buildFrameOfType(key: Uint8Array, dc: number, tag: number): ClientFrame {
  const client = buildClientFrame(key, dc)
  for (let at = 56; at < 60; at++) client.frame[at] = client.frame[at]! ^ 0xdd ^ tag
  return client
}

/** The payload of complete application-data records, decrypted; `from` skips the server's flight. */
export function decodeRecords(received: Buffer, from: number, down: Cipheriv): Buffer {
  const parts: Buffer[] = []
  for (let at = from; at + 5 <= received.length;) {
    const end = at + 5 + received.readUInt16BE(at + 3)
    if (end > received.length) break
    parts.push(down.update(received.subarray(at + 5, end)))
    at = end
  }
  return Buffer.concat(parts)
}
