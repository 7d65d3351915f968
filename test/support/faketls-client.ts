import { createCipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Cipheriv } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { buildClientHello, GROUP_X25519, GROUP_X25519_MLKEM768, splitIntoRecords } from './client-hello.ts'
import type { ClientHello, HelloDefect } from './client-hello.ts'

/**
 * A Telegram client as far as the proxy sees one: fake-TLS outside, obfuscated2 inside. Written from wire.md §2, §3
 * and §5, strict about every byte the proxy sends.
 */

/** TDLib cuts what it sends to this many bytes of payload. */
export const TDLIB_RECORD_PAYLOAD_BYTES = 2878
/** What a TLS 1.3 stack puts on the wire for 16384 bytes of plaintext (decision W6). */
export const MAX_RECORD_PAYLOAD_BYTES = 16401
const RECORD_HEADER_BYTES = 5
const FLIGHT_RANDOM_OFFSET = 11
const CHANGE_CIPHER_SPEC = Buffer.of(0x14, 0x03, 0x03, 0x00, 0x01, 0x01)
const FRAME_BYTES = 64
/** Of X25519MLKEM768 the server sends a ciphertext and a point. */
const SERVER_SHARE_BYTES = new Map([
  [GROUP_X25519, 32],
  [GROUP_X25519_MLKEM768, 1088 + 32],
])

export type FakeTlsCode = 'secret' | 'connect' | 'closed' | 'flight' | 'digest' | 'record'

/** The proxy did not keep to the protocol, or the connection ended where it should not. */
export class FakeTlsError extends Error {
  readonly code: FakeTlsCode
  constructor(code: FakeTlsCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FakeTlsError'
    this.code = code
  }
}

export interface ClientSecret {
  readonly key: Buffer
  readonly host: string
}

/** `ee | key[16] | host` in hex or base64url (wire.md §1). */
export function parseClientSecret(text: string): ClientSecret {
  const bytes = Buffer.from(text, /^[0-9a-f]+$/i.test(text) ? 'hex' : 'base64url')
  if (bytes[0] !== 0xee || bytes.length < 18)
    throw new FakeTlsError('secret', `not a fake-TLS secret: ${text}`)
  return { key: bytes.subarray(1, 17), host: bytes.toString('latin1', 17) }
}

export interface ServerFlight {
  readonly cipher: number
  readonly group: number
  readonly serverHelloBytes: number
  /** Payload of the one application-data record. */
  readonly applicationDataBytes: number
  readonly totalBytes: number
}

/**
 * Check what the server answered to a hello (wire.md §3): ServerHello, ChangeCipherSpec, one application-data record,
 * signed together with the client's random.
 * @returns null while bytes are missing
 * @throws FakeTlsError `flight` or `digest`
 */
export function verifyServerFlight(key: Uint8Array, hello: ClientHello, bytes: Buffer): ServerFlight | null {
  const serverHello = recordAt(bytes, 0, 0x16)
  if (serverHello === null) return null
  const changeCipherSpec = recordAt(bytes, serverHello.end, 0x14)
  if (changeCipherSpec === null) return null
  demand(
    changeCipherSpec.payload.equals(CHANGE_CIPHER_SPEC.subarray(5)),
    'ChangeCipherSpec must be one byte 01',
  )
  const applicationData = recordAt(bytes, changeCipherSpec.end, 0x17)
  if (applicationData === null) return null

  const flight = Buffer.from(bytes.subarray(0, applicationData.end))
  const digest = Buffer.from(flight.subarray(FLIGHT_RANDOM_OFFSET, FLIGHT_RANDOM_OFFSET + 32))
  flight.fill(0, FLIGHT_RANDOM_OFFSET, FLIGHT_RANDOM_OFFSET + 32)
  const expected = createHmac('sha256', key).update(hello.random).update(flight).digest()
  if (!timingSafeEqual(digest, expected))
    throw new FakeTlsError('digest', 'the server flight is not signed by our key')
  return {
    ...checkServerHello(serverHello.payload, hello),
    serverHelloBytes: serverHello.end,
    applicationDataBytes: applicationData.payload.length,
    totalBytes: applicationData.end,
  }
}

function checkServerHello(message: Buffer, hello: ClientHello): { cipher: number; group: number } {
  demand(message[0] === 0x02, 'handshake type must be ServerHello')
  demand(message.readUIntBE(1, 3) === message.length - 4, 'ServerHello must fill its record')
  demand(message.readUInt16BE(4) === 0x0303, 'legacy_version must be 03 03')
  const sessionIdEnd = 39 + (message[38] ?? 0)
  demand(message.subarray(39, sessionIdEnd).equals(hello.sessionId), 'session id must be echoed')
  const cipher = message.readUInt16BE(sessionIdEnd)
  demand(offersCipher(hello, cipher), `cipher ${cipher.toString(16)} was not offered`)
  demand(message[sessionIdEnd + 2] === 0, 'compression must be none')
  const extensions = message.subarray(sessionIdEnd + 5)
  demand(message.readUInt16BE(sessionIdEnd + 3) === extensions.length, 'extensions must fill the ServerHello')

  let group = 0
  const types: number[] = []
  for (let offset = 0; offset < extensions.length;) {
    const type = extensions.readUInt16BE(offset)
    const data = extensions.subarray(offset + 4, offset + 4 + extensions.readUInt16BE(offset + 2))
    offset += 4 + data.length
    types.push(type)
    if (type === 0x002b) demand(data.equals(Buffer.of(0x03, 0x04)), 'supported_versions must be 03 04')
    if (type === 0x0033) {
      group = data.readUInt16BE(0)
      demand(
        SERVER_SHARE_BYTES.get(group) === data.length - 4,
        `key share of group ${group} has a wrong length`,
      )
      demand(data.readUInt16BE(2) === data.length - 4, 'key share must fill its extension')
    }
  }
  demand(
    types.length === 2 && types.includes(0x002b) && types.includes(0x0033),
    `extensions must be supported_versions and key_share: ${types.join()}`,
  )
  demand(
    group === GROUP_X25519 || hello.bytes.includes(Buffer.of(0x11, 0xec, 0x04, 0xc0)),
    'group was not offered',
  )
  return { cipher, group }
}

function offersCipher(hello: ClientHello, cipher: number): boolean {
  const at = 44 + hello.sessionId.length
  const suites = hello.bytes.subarray(at + 2, at + 2 + hello.bytes.readUInt16BE(at))
  if ((cipher & 0x0f0f) === 0x0a0a) return false
  for (let offset = 0; offset < suites.length; offset += 2) {
    if (suites.readUInt16BE(offset) === cipher) return true
  }
  return false
}

function recordAt(bytes: Buffer, offset: number, type: number): { payload: Buffer; end: number } | null {
  if (bytes.length > offset) demand(bytes[offset] === type, `record type ${bytes[offset]} instead of ${type}`)
  if (bytes.length < offset + RECORD_HEADER_BYTES) return null
  demand(bytes.readUInt16BE(offset + 1) === 0x0303, 'record version must be 03 03')
  const length = bytes.readUInt16BE(offset + 3)
  demand(length >= 1 && length <= MAX_RECORD_PAYLOAD_BYTES, `record length ${length}`)
  const end = offset + RECORD_HEADER_BYTES + length
  return bytes.length < end ? null : { payload: bytes.subarray(offset + RECORD_HEADER_BYTES, end), end }
}

function demand(condition: boolean, message: string): void {
  if (!condition) throw new FakeTlsError('flight', message)
}

export interface ClientFrame {
  /** 64 bytes as they stand on the wire. */
  readonly frame: Buffer
  /** Encrypts what follows the frame. */
  readonly up: Cipheriv
  /** Decrypts what the proxy sends. */
  readonly down: Cipheriv
}

/**
 * The client's obfuscated2 frame, both directions keyed with the secret mixed in (wire.md §5.1).
 * @param dc as the client means it: negative for media
 * @param plain 64 bytes for a known answer; drawn at random, reserved prefixes avoided, unless given
 */
export function buildClientFrame(key: Uint8Array, dc: number, plain: Buffer = drawFrame()): ClientFrame {
  const frame = Buffer.from(plain)
  frame.fill(0xdd, 56, 60)
  frame.writeInt16LE(dc, 60)
  const reversed = Buffer.from(frame.subarray(8, 56)).reverse()
  const cipher = (material: Buffer): Cipheriv => {
    const mixed = createHash('sha256').update(material.subarray(0, 32)).update(key).digest()
    return createCipheriv('aes-256-ctr', mixed, material.subarray(32, 48))
  }
  const up = cipher(frame.subarray(8, 56))
  up.update(frame).copy(frame, 56, 56)
  return { frame, up, down: cipher(reversed) }
}

const RESERVED_FIRST_WORDS = new Set([
  0x44414548, 0x54534f50, 0x20544547, 0x4954504f, 0x02010316, 0xdddddddd, 0xeeeeeeee,
])

function drawFrame(): Buffer {
  for (;;) {
    const plain = randomBytes(FRAME_BYTES)
    const reserved =
      plain[0] === 0xef || RESERVED_FIRST_WORDS.has(plain.readUInt32LE(0)) || plain.readUInt32LE(4) === 0
    if (!reserved) return plain
  }
}

/** Application-data records of at most this much payload each. */
export function buildRecords(payload: Buffer, recordPayloadBytes: number): Buffer {
  const parts: Buffer[] = []
  for (let offset = 0; offset < payload.length; offset += recordPayloadBytes) {
    const part = payload.subarray(offset, offset + recordPayloadBytes)
    parts.push(Buffer.of(0x17, 0x03, 0x03, part.length >> 8, part.length & 0xff), part)
  }
  return Buffer.concat(parts)
}

export interface FakeTlsOptions {
  readonly port: number
  readonly host?: string
  /** `ee…` as in a link. */
  readonly secret: string
  readonly dc: number
  /** Seconds the hello is signed with. */
  readonly unixTime?: number
  readonly sni?: string | readonly string[] | null
  readonly helloSize?: number
  readonly corrupt?: HelloDefect
  /** Sent instead of a new hello: for replays. */
  readonly hello?: ClientHello
  /** Sent in front of the hello, as a balancer's PROXY header. */
  readonly preamble?: Uint8Array
  /** Offsets at which the hello, the preamble included, is cut into separate writes, or every byte for itself. */
  readonly splitHello?: readonly number[] | 'bytes'
  /** Offsets of the handshake message at which it is cut into TLS records. */
  readonly helloRecordCuts?: readonly number[]
  readonly recordPayloadBytes?: number
  /** Travels in the same record as the 64-byte frame, as clients do. */
  readonly firstPayload?: Uint8Array
  readonly localAddress?: string
  readonly signal?: AbortSignal
}

export interface CloseReport {
  readonly hadError: boolean
  /** `ECONNRESET` and the like, or a code of FakeTlsError; null for an orderly end. */
  readonly errorCode: string | null
  /** Raw bytes over the socket's life. */
  readonly bytesRead: number
  readonly bytesWritten: number
}

/**
 * Connect, greet, verify the server's flight and send the obfuscated2 frame.
 * @throws FakeTlsError when the proxy closes, answers otherwise or does not sign; the socket is destroyed then
 */
export async function connectFakeTls(options: FakeTlsOptions): Promise<FakeTlsClient> {
  const { key, host } = parseClientSecret(options.secret)
  const hello = options.hello ?? buildClientHello(helloOptions(options, key, host))
  const socket = await connectRaw(options)
  const client = new FakeTlsClient(socket, options.recordPayloadBytes ?? TDLIB_RECORD_PAYLOAD_BYTES)
  try {
    const wire = options.helloRecordCuts
      ? splitIntoRecords(hello.bytes, options.helloRecordCuts)
      : hello.bytes
    await sendRaw(socket, Buffer.concat([options.preamble ?? Buffer.alloc(0), wire]), options.splitHello)
    await client.completeHandshake(key, hello, options.dc, options.firstPayload)
  } catch (error) {
    socket.destroy()
    throw error
  }
  return client
}

function helloOptions(
  options: FakeTlsOptions,
  key: Buffer,
  host: string,
): Parameters<typeof buildClientHello>[0] {
  return {
    key,
    host,
    ...(options.sni === undefined ? {} : { sni: options.sni }),
    ...(options.unixTime === undefined ? {} : { unixTime: options.unixTime }),
    ...(options.helloSize === undefined ? {} : { size: options.helloSize }),
    ...(options.corrupt === undefined ? {} : { corrupt: options.corrupt }),
  }
}

/** A connected socket that keeps its own side open when the peer ends: for probes that speak bytes of their own. */
export async function connectRaw(
  options: Pick<FakeTlsOptions, 'port' | 'host' | 'localAddress' | 'signal'>,
): Promise<Socket> {
  const { port, host = '127.0.0.1', localAddress, signal } = options
  const socket = connect({
    port,
    host,
    noDelay: true,
    allowHalfOpen: true,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(signal === undefined ? {} : { signal }),
  })
  try {
    await once(socket, 'connect')
  } catch (cause) {
    socket.destroy()
    throw new FakeTlsError('connect', `cannot connect to ${host}:${port}`, { cause })
  }
  return socket
}

/** Write bytes, cut at the given offsets, a turn of the event loop between the parts so that each is its own send. */
export async function sendRaw(
  socket: Socket,
  bytes: Buffer,
  cuts: readonly number[] | 'bytes' = [],
): Promise<void> {
  const inner = cuts === 'bytes' ? bytes.keys().toArray().slice(1) : cuts
  const edges = [0, ...inner, bytes.length]
  for (const [index, end] of edges.slice(1).entries()) {
    if (socket.destroyed) return
    if (index > 0) await nextTurn()
    socket.write(bytes.subarray(edges[index], end))
  }
}

interface PendingRead {
  readonly bytes: number
  readonly resolve: (payload: Buffer) => void
  readonly reject: (error: Error) => void
}

/** One fake-TLS connection after, or on the way to, the end of its handshake. */
export class FakeTlsClient {
  readonly socket: Socket
  /** Payload length of every record the proxy sent after its flight, in order. */
  readonly recordLengths: number[] = []
  /** The peer's FIN. Rejects when the connection closes without one. */
  readonly ended: Promise<void>
  readonly closed: Promise<CloseReport>
  #flight: ServerFlight | null
  #frame: ClientFrame | null
  #raw: Buffer
  #payload: Buffer[]
  #payloadBytes: number
  #error: Error | null
  #peerEnded: boolean
  #reads: PendingRead[]
  #wakeHandshake: () => void
  readonly #recordPayloadBytes: number

  constructor(socket: Socket, recordPayloadBytes: number) {
    this.socket = socket
    this.#recordPayloadBytes = recordPayloadBytes
    this.#flight = null
    this.#frame = null
    this.#raw = Buffer.alloc(0)
    this.#payload = []
    this.#payloadBytes = 0
    this.#error = null
    this.#peerEnded = false
    this.#reads = []
    this.#wakeHandshake = () => {}
    const ended = Promise.withResolvers<void>()
    // Most tests never look at it; they must not fail for that.
    ended.promise.catch(() => {})
    this.ended = ended.promise
    const closed = Promise.withResolvers<CloseReport>()
    this.closed = closed.promise
    // No encoding is set, so chunks are Buffers.
    socket.on('data', (chunk) => this.#receive(chunk as Buffer))
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('end', () => {
      this.#peerEnded = true
      ended.resolve()
      this.#settle()
    })
    socket.on('close', () => {
      ended.reject(new FakeTlsError('closed', 'closed without FIN', { cause: this.#error }))
      this.#settle()
      closed.resolve({
        hadError: this.#error !== null,
        errorCode: errorCode(this.#error),
        bytesRead: socket.bytesRead,
        bytesWritten: socket.bytesWritten,
      })
    })
  }

  /** What the proxy answered to the hello. */
  get flight(): ServerFlight {
    if (this.#flight === null) throw new FakeTlsError('flight', 'the handshake is not over')
    return this.#flight
  }

  /** Bytes that have been received and decrypted but not read. */
  get bufferedBytes(): number {
    return this.#payloadBytes
  }

  /** Await and verify the server's flight, then send ChangeCipherSpec and the frame with the first payload. */
  async completeHandshake(
    key: Uint8Array,
    hello: ClientHello,
    dc: number,
    firstPayload: Uint8Array = Buffer.alloc(0),
  ): Promise<void> {
    let flight: ServerFlight | null = null
    for (;;) {
      flight = verifyServerFlight(key, hello, this.#raw)
      if (flight !== null) break
      if (this.#over()) {
        const got = `${this.#raw.length} bytes of the flight`
        throw new FakeTlsError('closed', `closed after ${got}`, { cause: this.#error })
      }
      await new Promise<void>((resolve) => {
        this.#wakeHandshake = resolve
      })
    }
    // The proxy knows no DC yet, so it can have nothing more to say.
    demand(this.#raw.length === flight.totalBytes, 'more than three records before the client spoke')
    this.#raw = Buffer.alloc(0)
    this.#flight = flight
    this.#frame = buildClientFrame(key, dc)
    const first = Buffer.concat([this.#frame.frame, this.#frame.up.update(firstPayload)])
    this.socket.write(Buffer.concat([CHANGE_CIPHER_SPEC, buildRecords(first, this.#recordPayloadBytes)]))
  }

  /** Encrypt, cut into records, send. Returns false when the socket wants a 'drain' first. */
  write(payload: Uint8Array): boolean {
    if (this.#frame === null) throw new FakeTlsError('flight', 'the handshake is not over')
    return this.socket.write(buildRecords(this.#frame.up.update(payload), this.#recordPayloadBytes))
  }

  /**
   * Exactly this many payload bytes.
   * @throws FakeTlsError `closed` when the connection ends before, `record` when the proxy sent no proper record
   */
  read(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#reads.push({ bytes, resolve, reject })
      this.#settle()
    })
  }

  /** Send FIN; the peer may go on sending. */
  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  #receive(chunk: Buffer): void {
    this.#raw = this.#raw.length === 0 ? chunk : Buffer.concat([this.#raw, chunk])
    if (this.#frame === null) {
      this.#wakeHandshake()
      return
    }
    try {
      this.#takeRecords(this.#frame.down)
    } catch (error) {
      // takeRecords throws FakeTlsError alone. The socket's own 'error' would come too late for pending reads.
      this.#error ??= error as FakeTlsError
      this.socket.destroy(this.#error)
    }
    this.#settle()
  }

  #takeRecords(down: Cipheriv): void {
    let offset = 0
    try {
      for (let record; (record = recordAt(this.#raw, offset, 0x17)) !== null; offset = record.end) {
        this.recordLengths.push(record.payload.length)
        this.#payload.push(down.update(record.payload))
        this.#payloadBytes += record.payload.length
      }
    } catch (cause) {
      throw new FakeTlsError('record', `record ${this.recordLengths.length}: ${(cause as Error).message}`, {
        cause,
      })
    }
    this.#raw = this.#raw.subarray(offset)
  }

  #over(): boolean {
    return this.#peerEnded || this.socket.destroyed
  }

  #settle(): void {
    this.#wakeHandshake()
    for (let read; (read = this.#reads[0]) !== undefined; this.#reads.shift()) {
      if (this.#payloadBytes >= read.bytes) {
        read.resolve(this.#take(read.bytes))
      } else if (this.#over()) {
        const got = `${this.#payloadBytes} of ${read.bytes} bytes`
        read.reject(
          this.#error instanceof FakeTlsError
            ? this.#error
            : new FakeTlsError('closed', `closed after ${got}`, { cause: this.#error }),
        )
      } else {
        return
      }
    }
  }

  #take(bytes: number): Buffer {
    const all =
      this.#payload.length === 1 ? (this.#payload[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#payload)
    this.#payload = all.length > bytes ? [all.subarray(bytes)] : []
    this.#payloadBytes -= bytes
    return all.subarray(0, bytes)
  }
}

function errorCode(error: Error | null): string | null {
  if (error === null) return null
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
