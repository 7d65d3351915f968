import { createCipheriv, type Cipheriv } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'

import { buildClientHello } from '../../test/support/client-hello.ts'
import {
  buildClientFrame,
  buildRecords,
  connectRaw,
  parseClientSecret,
  TDLIB_RECORD_PAYLOAD_BYTES,
  verifyServerFlight,
} from '../../test/support/faketls-client.ts'
import type { Purpose } from './data-centre-behaviours.ts'
import { RecordReader } from './record-reader.ts'
import type { LoadTarget, ProxyAddress } from './scenario.ts'

/** A client's connection to the bench's data centre, through a proxy or straight. */

const CHANGE_CIPHER_SPEC = Buffer.of(0x14, 0x03, 0x03, 0x00, 0x01, 0x01)
/** TDLib's clients ask for one of 1 to 5. */
const DC = 2
/** Only a stalled proxy takes so long. */
const STALL_TIMEOUT_MS = 20_000

export interface LineOptions {
  readonly purpose: Purpose
  /** Behind the purpose, in the record that carries the frame. */
  readonly firstPayload?: Uint8Array
  /** The target's unless given. */
  readonly secret?: string
  readonly localAddress?: string
}

/** Payload goes both ways, encrypted or as it is: see {@link Line.send} and {@link Line.sendWire}. */
export class Line {
  readonly socket: Socket
  /** What has come, as it came: not decrypted. */
  onPayload: (bytes: Buffer) => void
  /** The connection is over; with the error that ended it, if one did. */
  onClose: (error: Error) => void
  readonly #up: Cipheriv
  readonly #down: Cipheriv
  readonly #isFramed: boolean

  constructor(
    socket: Socket,
    ciphers: { readonly up: Cipheriv; readonly down: Cipheriv },
    isFramed: boolean,
  ) {
    this.socket = socket
    this.onPayload = () => {}
    this.onClose = () => {}
    this.#up = ciphers.up
    this.#down = ciphers.down
    this.#isFramed = isFramed
    let hasAnswered = !isFramed
    const wasClosed = (): Error => {
      const hint = hasAnswered ? '' : ': does the proxy reach the data centre of the bench?'
      return new Error(`the connection was closed${hint}`)
    }
    const records = new RecordReader((bytes) => {
      hasAnswered = true
      this.onPayload(bytes)
    })
    let failure: Error | null = null
    // No encoding is set, so chunks are Buffers.
    socket.on('data', (chunk) => {
      if (!isFramed) return this.onPayload(chunk as Buffer)
      try {
        records.take(chunk as Buffer)
      } catch (error) {
        socket.destroy(error as Error) // the reader throws errors alone
      }
    })
    socket.on('error', (error) => (failure = error))
    socket.on('end', () => socket.end())
    socket.on('close', () => this.onClose(failure ?? wasClosed()))
  }

  /** Encrypt and send. Returns false when the socket wants a 'drain' first. */
  send(payload: Uint8Array): boolean {
    const encrypted = this.#up.update(payload)
    return this.socket.write(this.#isFramed ? buildRecords(encrypted, TDLIB_RECORD_PAYLOAD_BYTES) : encrypted)
  }

  /** In the order in which it came. */
  decrypt(bytes: Uint8Array): Buffer {
    return this.#down.update(bytes)
  }

  close(): void {
    this.onClose = () => {}
    this.socket.destroy()
  }
}

/** Through the proxy: hello, flight, which is verified, frame. Throws when it does not answer as a proxy should. */
export async function openLine(target: ProxyAddress, options: LineOptions): Promise<Line> {
  const { key, host } = parseClientSecret(options.secret ?? target.secret)
  const { localAddress } = options
  const signal = AbortSignal.timeout(STALL_TIMEOUT_MS)
  const socket = await connectRaw({
    host: target.host,
    port: target.port,
    ...(localAddress === undefined ? {} : { localAddress }),
  })
  const abort = (): void => void socket.destroy(new Error('the proxy has not answered in time'))
  signal.addEventListener('abort', abort)
  try {
    const hello = buildClientHello({ key, host })
    socket.write(hello.bytes)
    let flight = Buffer.alloc(0)
    do {
      const chunk = (await readChunk(socket)) as Buffer | null // no encoding is set
      if (chunk === null) {
        const hint = flight.length > 0 ? '' : ': is it the right secret, and do the clocks agree?'
        throw new Error(`the proxy closed after ${flight.length} bytes of its flight${hint}`)
      }
      flight = Buffer.concat([flight, chunk])
    } while (verifyServerFlight(key, hello, flight) === null)
    const { frame, up, down } = buildClientFrame(key, DC)
    const first = Buffer.concat([frame, up.update(buildFirst(options))])
    socket.write(Buffer.concat([CHANGE_CIPHER_SPEC, buildRecords(first, TDLIB_RECORD_PAYLOAD_BYTES)]))
    return new Line(socket, { up, down }, true)
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Straight to the data centre: what the way through the proxy is compared with. */
export async function openStraight(target: LoadTarget, options: LineOptions): Promise<Line> {
  const socket = await connectRaw({ port: target.dcPort })
  // A frame without a secret in its keys: the same bytes, as the data centre takes them.
  const { frame } = buildClientFrame(Buffer.alloc(16), DC)
  const reversed = Buffer.from(frame.subarray(8, 56)).reverse()
  const cipher = (material: Buffer): Cipheriv =>
    createCipheriv('aes-256-ctr', material.subarray(0, 32), material.subarray(32, 48))
  const up = cipher(frame.subarray(8, 56))
  up.update(frame)
  socket.write(Buffer.concat([frame, up.update(buildFirst(options))]))
  return new Line(socket, { up, down: cipher(reversed) }, false)
}

function buildFirst({ purpose, firstPayload = Buffer.alloc(0) }: LineOptions): Buffer {
  return Buffer.concat([Buffer.from(purpose), firstPayload])
}

/** Null at the end. */
async function readChunk(socket: Socket): Promise<unknown> {
  for (;;) {
    const chunk: unknown = socket.read()
    if (chunk !== null || socket.readableEnded || socket.destroyed) return chunk
    await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')])
  }
}
