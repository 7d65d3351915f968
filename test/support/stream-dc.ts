import { createCipheriv } from 'node:crypto'
import type { Cipheriv } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { parseArgs } from 'node:util'

/**
 * A data centre that speaks obfuscated2 without a secret (wire.md §5.2) and streams bytes instead of MTProto. Also a
 * program: `node test/support/stream-dc.ts --mode echo` prints `{"port":…}` and serves until its stdin ends.
 *
 * Modes, on decrypted bytes:
 * - `echo`: sends back what it gets
 * - `dribble`: the same, one byte a write
 * - `source`: each request of 8 bytes (u64le N) is answered with the next N bytes of the pattern
 * - `pattern`: sends `bytes` bytes of the pattern at once, then FIN
 * - `sink`: compares with the pattern; acknowledges every `bytes` bytes, and FIN, with the count so far (u64le)
 * - `silent`: reads and counts
 * - `half-close`: FIN at once, then reads and counts
 * - `reset`: RST at once
 */
export const DC_MODES = [
  'echo',
  'dribble',
  'source',
  'pattern',
  'sink',
  'silent',
  'half-close',
  'reset',
] as const
export type DcMode = (typeof DC_MODES)[number]

const FRAME_BYTES = 64
const REQUEST_BYTES = 8
/** What one write of a stream carries: large enough to be cheap, small enough that back-pressure is felt. */
const CHUNK_BYTES = 64 * 1024
/** A prime, so that no buffer or record size divides it: a lost or doubled block shows at once. */
const PATTERN_PERIOD_BYTES = 65521
/** Older connections are forgotten, so that a bench of many thousand does not fill the memory. */
const MAX_REMEMBERED_CONNECTIONS = 1024

const PATTERN: Buffer = buildPattern()

function buildPattern(): Buffer {
  const noise = createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16))
  const period = noise.update(Buffer.alloc(PATTERN_PERIOD_BYTES))
  return Buffer.concat([period, period, period])
}

/** Bytes `[offset, offset + length)` of the endless pattern; a copy above 128 KiB, else a view. */
export function patternSlice(offset: number, length: number): Buffer {
  const start = offset % PATTERN_PERIOD_BYTES
  if (start + length <= PATTERN.length) return PATTERN.subarray(start, start + length)
  const slice = Buffer.allocUnsafe(length)
  for (let done = 0; done < length;)
    done += patternSlice(offset + done, Math.min(CHUNK_BYTES, length - done)).copy(slice, done)
  return slice
}

export interface StreamDcOptions {
  readonly port?: number
  readonly mode: DcMode
  /** Meaning by mode, see above. */
  readonly bytes?: number
}

/** A proxy's connection to the data centre. Emits 'progress' on bytes and 'close'. */
export class DcConnection extends EventEmitter<{ progress: []; close: [] }> {
  readonly socket: Socket
  /** As it stood on the wire. */
  first64: Buffer
  /** As the proxy asked for: negative for media; 0 before the frame is complete. */
  dc: number
  /** The four bytes of the transport tag. */
  transport: Buffer
  /** Payload bytes received. */
  receivedBytes: number
  /** First position at which `sink` saw another byte than the pattern's, or -1. */
  mismatchAt: number
  #send: Cipheriv | null
  #receive: Cipheriv | null

  constructor(socket: Socket) {
    super()
    this.socket = socket
    this.first64 = Buffer.alloc(0)
    this.dc = 0
    this.transport = Buffer.alloc(0)
    this.receivedBytes = 0
    this.mismatchAt = -1
    this.#send = null
    this.#receive = null
  }

  /** Take raw bytes; returns the payload in them, empty while the frame is not complete. */
  accept(chunk: Buffer): Buffer {
    let rest = chunk
    if (this.#receive === null) {
      this.first64 = Buffer.concat([this.first64, chunk])
      if (this.first64.length < FRAME_BYTES) return Buffer.alloc(0)
      rest = this.first64.subarray(FRAME_BYTES)
      this.first64 = this.first64.subarray(0, FRAME_BYTES)
      const ciphers = acceptFrame(this.first64)
      this.#receive = ciphers.receive
      this.#send = ciphers.send
      this.dc = ciphers.dc
      this.transport = ciphers.transport
    }
    this.receivedBytes += rest.length
    return rest.length === 0 ? rest : this.#receive.update(rest)
  }

  get ready(): boolean {
    return this.#send !== null
  }

  /** Encrypt and send. Returns false when the socket wants a 'drain' first. */
  write(payload: Buffer): boolean {
    if (this.#send === null) throw new Error('no frame yet')
    return this.socket.write(this.#send.update(payload))
  }

  /** Resolves once this many payload bytes have arrived; rejects when the connection closes before. */
  async waitReceived(bytes: number): Promise<void> {
    if (this.receivedBytes >= bytes) return
    // Once: each wait would leave a listener behind.
    const closed = once(this, 'close')
    while (this.receivedBytes < bytes) {
      if (this.socket.closed) throw new Error(`closed after ${this.receivedBytes} of ${bytes} bytes`)
      await Promise.race([once(this, 'progress'), closed])
    }
  }
}

/** The receiving side of the frame (wire.md §5.2): ciphers, DC and transport of 64 wire bytes. */
export function acceptFrame(frame: Buffer): {
  receive: Cipheriv
  send: Cipheriv
  dc: number
  transport: Buffer
} {
  const reversed = Buffer.from(frame.subarray(8, 56)).reverse()
  const receive = createCipheriv('aes-256-ctr', frame.subarray(8, 40), frame.subarray(40, 56))
  const send = createCipheriv('aes-256-ctr', reversed.subarray(0, 32), reversed.subarray(32, 48))
  const tail = receive.update(frame).subarray(56)
  return { receive, send, dc: tail.readInt16LE(4), transport: tail.subarray(0, 4) }
}

export interface StreamDc {
  readonly port: number
  /** In order of arrival, the newest 1024. */
  readonly connections: readonly DcConnection[]
  /** The oldest connection nobody has asked for yet, as soon as its frame is complete. */
  nextConnection(): Promise<DcConnection>
  /** Stop listening, cut every connection. */
  close(): Promise<void>
}

/** Listen on 127.0.0.1. */
export async function startStreamDc(options: StreamDcOptions): Promise<StreamDc> {
  const connections: DcConnection[] = []
  const live = new Set<Socket>()
  const unclaimed: DcConnection[] = []
  const claims: ((connection: DcConnection) => void)[] = []

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const connection = new DcConnection(socket)
    connections.push(connection)
    if (connections.length > MAX_REMEMBERED_CONNECTIONS) connections.shift()
    live.add(socket)
    const serve = createBehaviour(connection, options)
    // No encoding is set, so chunks are Buffers.
    socket.on('data', (chunk) => {
      const wasReady = connection.ready
      const payload = connection.accept(chunk as Buffer)
      if (!wasReady && connection.ready) {
        serve.start()
        announce(connection)
      }
      if (payload.length > 0) serve.take(payload)
      connection.emit('progress')
    })
    socket.on('end', () => {
      if (connection.ready) serve.end()
      else socket.end()
    })
    // Resets are part of what tests do; 'close' follows.
    socket.on('error', () => {})
    socket.on('close', () => {
      live.delete(socket)
      connection.emit('close')
    })
  })

  function announce(connection: DcConnection): void {
    const claim = claims.shift()
    if (claim !== undefined) claim(connection)
    else if (unclaimed.push(connection) > MAX_REMEMBERED_CONNECTIONS) unclaimed.shift()
  }

  // A bench opens thousands of connections at once.
  server.listen({ port: options.port ?? 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port, // a TCP server has no other kind of address
    connections,
    nextConnection: () =>
      new Promise((resolve) => {
        const connection = unclaimed.shift()
        if (connection === undefined) claims.push(resolve)
        else resolve(connection)
      }),
    async close() {
      server.close()
      for (const socket of live) socket.destroy()
      await once(server, 'close')
    },
  }
}

interface Behaviour {
  /** The frame is complete. */
  start(): void
  take(payload: Buffer): void
  /** The peer's FIN. */
  end(): void
}

function createBehaviour(connection: DcConnection, options: StreamDcOptions): Behaviour {
  const { socket } = connection
  const passive: Behaviour = { start() {}, take() {}, end: () => socket.end() }
  const behaviours: Record<DcMode, () => Behaviour> = {
    echo: () => ({ ...passive, take: (payload) => holdUnless(connection.write(payload), socket) }),
    dribble: () => ({
      ...passive,
      take: (payload) => payload.forEach((byte) => connection.write(Buffer.of(byte))),
    }),
    source: () => createSource(connection),
    pattern: () => ({
      ...passive,
      start: () => createSource(connection).send(options.bytes ?? 0, () => socket.end()),
    }),
    sink: () => createSink(connection, options.bytes ?? Number.POSITIVE_INFINITY),
    silent: () => passive,
    'half-close': () => ({ ...passive, start: () => socket.end() }),
    reset: () => ({ ...passive, start: () => socket.resetAndDestroy() }),
  }
  return behaviours[options.mode]()
}

function holdUnless(writable: boolean, socket: Socket): void {
  if (writable || socket.isPaused()) return
  socket.pause()
  socket.once('drain', () => socket.resume())
}

function createSource(
  connection: DcConnection,
): Behaviour & { send(bytes: number, done?: () => void): void } {
  const { socket } = connection
  let request = Buffer.alloc(0)
  let sentBytes = 0
  let dueBytes = 0
  let ending = false
  let whenDone: (() => void) | undefined

  function pump(): void {
    while (dueBytes > 0 && !socket.destroyed) {
      const length = Math.min(CHUNK_BYTES, dueBytes)
      const chunk = patternSlice(sentBytes, length)
      sentBytes += length
      dueBytes -= length
      if (!connection.write(chunk)) {
        socket.once('drain', pump)
        return
      }
    }
    whenDone?.()
    if (ending) socket.end()
  }
  const send = (bytes: number, done?: () => void): void => {
    const idle = dueBytes === 0
    dueBytes += bytes
    whenDone = done
    if (idle) pump()
  }
  return {
    send,
    start() {},
    take(payload) {
      request = Buffer.concat([request, payload])
      for (; request.length >= REQUEST_BYTES; request = request.subarray(REQUEST_BYTES)) {
        send(Number(request.readBigUInt64LE(0)))
      }
    },
    end() {
      ending = true
      if (dueBytes === 0) socket.end()
    },
  }
}

function createSink(connection: DcConnection, acknowledgeEachBytes: number): Behaviour {
  let checkedBytes = 0
  let nextAcknowledgement = acknowledgeEachBytes
  const acknowledge = (bytes: number): void => {
    const count = Buffer.alloc(8)
    count.writeBigUInt64LE(BigInt(bytes))
    connection.write(count)
  }
  return {
    start() {},
    take(payload) {
      const expected = patternSlice(checkedBytes, payload.length)
      if (connection.mismatchAt < 0 && !payload.equals(expected)) {
        connection.mismatchAt = checkedBytes + payload.findIndex((byte, index) => byte !== expected[index])
        connection.socket.destroy()
        return
      }
      checkedBytes += payload.length
      for (; checkedBytes >= nextAcknowledgement; nextAcknowledgement += acknowledgeEachBytes) {
        acknowledge(nextAcknowledgement)
      }
    },
    end() {
      acknowledge(checkedBytes)
      connection.socket.end()
    },
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      mode: { type: 'string', default: 'echo' },
      port: { type: 'string', default: '0' },
      bytes: { type: 'string' },
    },
  })
  const mode = DC_MODES.find((known) => known === values.mode)
  if (mode === undefined) throw new Error(`--mode is one of ${DC_MODES.join(', ')}`)
  const dc = await startStreamDc({
    mode,
    port: Number(values.port),
    ...(values.bytes === undefined ? {} : { bytes: Number(values.bytes) }),
  })
  process.stdout.write(`${JSON.stringify({ port: dc.port })}\n`)
  process.stdin.on('end', () => process.exit(0)).resume()
}
