import assert from 'node:assert/strict'
import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  type Decipheriv,
  randomBytes,
  randomInt,
} from 'node:crypto'

/** Length of the obfuscated2 frame that opens a connection (wire.md §5). */
export const FRAME_BYTES = 64

const PADDED_INTERMEDIATE = Buffer.from('dddddddd', 'hex')
/** First words of other transports: HEAD, POST, GET, OPTI, TLS, padded intermediate, intermediate (wire.md §5.2). */
const RESERVED_FIRST_WORDS = new Set([
  0x44414548, 0x54534f50, 0x20544547, 0x4954504f, 0x02010316, 0xdddddddd, 0xeeeeeeee,
])
/** Bit 31 of the length asks for a quick acknowledgement, which no client of ours does. */
const QUICK_ACK_BIT = 0x8000_0000
const LENGTH_BYTES = 4
/** Telegram refuses messages above 1 MiB; the rest is room for headers. */
const MAX_PACKET_BYTES = 1024 * 1024 + 1024
const MAX_PADDING_BYTES = 15

export interface ObfuscatedStreams {
  /** As the frame says: negative for media. */
  readonly dc: number
  readonly receive: Decipheriv
  readonly send: Cipheriv
}

/**
 * The data centre's side of obfuscated2 without a secret (wire.md §5.2, as the receiver). Throws an AssertionError for
 * a frame that a real data centre would take for another transport.
 */
export function acceptFrame(frame: Buffer): ObfuscatedStreams {
  assert.equal(frame.length, FRAME_BYTES)
  assert.notEqual(frame[0], 0xef, 'the frame begins like the abridged transport')
  assert.ok(!RESERVED_FIRST_WORDS.has(frame.readUInt32LE(0)), 'the frame begins like another transport')
  assert.notEqual(frame.readUInt32LE(4), 0, 'the second word of the frame is zero')

  const receive = createDecipheriv('aes-256-ctr', frame.subarray(8, 40), frame.subarray(40, 56))
  const reversed = frame.subarray(8, 56).toReversed()
  const send = createCipheriv('aes-256-ctr', reversed.subarray(0, 32), reversed.subarray(32, 48))
  const plain = receive.update(frame)
  assert.deepEqual(
    plain.subarray(56, 60),
    PADDED_INTERMEDIATE,
    'the frame does not ask for padded intermediate',
  )
  return { dc: plain.readInt16LE(60), receive, send }
}

/** Cuts the decrypted stream into packets of the padded intermediate transport. */
export class PacketReader {
  #chunks: Buffer[]
  #bufferedBytes: number

  constructor() {
    this.#chunks = []
    this.#bufferedBytes = 0
  }

  /** Packets completed by this chunk, padding included: only the message knows where it ends. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk)
    this.#bufferedBytes += chunk.length
    const packets: Buffer[] = []
    for (let packet = this.#take(); packet !== null; packet = this.#take()) packets.push(packet)
    return packets
  }

  #take(): Buffer | null {
    if (this.#bufferedBytes < LENGTH_BYTES) return null
    if ((this.#chunks[0]?.length ?? 0) < LENGTH_BYTES) this.#join()
    const length = this.#chunks[0]?.readUInt32LE(0) ?? 0
    assert.equal(length & QUICK_ACK_BIT, 0, 'quick acknowledgements are not spoken here')
    assert.ok(length <= MAX_PACKET_BYTES, `a packet of ${length} bytes is too large`)
    if (this.#bufferedBytes < LENGTH_BYTES + length) return null
    const joined = this.#join()
    const rest = joined.subarray(LENGTH_BYTES + length)
    this.#chunks = rest.length > 0 ? [rest] : []
    this.#bufferedBytes = rest.length
    return joined.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
  }

  #join(): Buffer {
    const joined = this.#chunks.length === 1 ? this.#chunks[0] : undefined
    const whole = joined ?? Buffer.concat(this.#chunks)
    this.#chunks = [whole]
    return whole
  }
}

/** A packet of the padded intermediate transport: length, payload, 0–15 random bytes. */
export function buildPacket(payload: Uint8Array): Buffer {
  const padding = randomBytes(randomInt(MAX_PADDING_BYTES + 1))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32LE(payload.length + padding.length)
  return Buffer.concat([length, payload, padding])
}

/** A transport error: a packet of one negative code, never padded, or clients take it for a message. */
export function buildTransportError(code: 404 | 444): Buffer {
  const packet = Buffer.alloc(LENGTH_BYTES + 4)
  packet.writeUInt32LE(4)
  packet.writeInt32LE(-code, LENGTH_BYTES)
  return packet
}
