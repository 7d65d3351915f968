import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectRaw } from './faketls-client.ts'

/** Record header, handshake header, version, random and a session id of 32 bytes. */
const CLEAR_HEAD_BYTES = 5 + 4 + 2 + 32 + 33
const CHANGE_CIPHER_SPEC_BYTES = 6
/** A flight is one write, its parts are a moment apart. */
const QUIET_MS = 100

/** What anybody sees of a server's answer to a hello. */
export interface SeenAnswer {
  /** ServerHello and ChangeCipherSpec in hex, without what is drawn for each answer: random and key. */
  readonly clear: string
  /** Bytes on the wire behind them. */
  readonly encryptedBytes: number
}

/**
 * Send a hello and look at the flight that answers it; the connection is cut then.
 * @throws Error when the server ends the connection instead
 */
export async function seeAnswer(port: number, hello: Buffer): Promise<SeenAnswer> {
  const socket = await connectRaw({ port })
  let bytes = Buffer.alloc(0)
  // Without an encoding chunks are Buffers.
  socket.on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])))
  socket.on('error', () => {}) // 'close' follows
  try {
    socket.write(hello)
    for (;;) {
      if (socket.readableEnded || socket.destroyed) throw new Error(`ended after ${bytes.toString('hex')}`)
      const before = bytes.length
      await Promise.race([once(socket, 'data'), once(socket, 'end'), sleep(QUIET_MS)])
      if (bytes.length === before && isWhole(bytes)) return describe(bytes)
    }
  } finally {
    socket.destroy()
  }
}

/** The last record of a flight is whole when the next one would begin behind it. */
function isWhole(bytes: Buffer): boolean {
  if (bytes.length < CLEAR_HEAD_BYTES) return false
  const end = clearEnd(bytes)
  let at = end
  while (at + 5 <= bytes.length) at += 5 + bytes.readUInt16BE(at + 3)
  return at === bytes.length && at > end
}

function clearEnd(bytes: Buffer): number {
  return 5 + bytes.readUInt16BE(3) + CHANGE_CIPHER_SPEC_BYTES
}

function describe(bytes: Buffer): SeenAnswer {
  const clear = Buffer.from(bytes.subarray(0, clearEnd(bytes)))
  clear.fill(0, 11, 43) // random
  const share = clear.indexOf(Buffer.of(0x00, 0x33), CLEAR_HEAD_BYTES)
  clear.fill(0, share + 8, share + 8 + clear.readUInt16BE(share + 6))
  return { clear: clear.toString('hex'), encryptedBytes: bytes.length - clear.length }
}
