import type { HandshakeCode } from '#shared/errors'
import type { Ciphers, CtrKey, CtrStream } from './ctr-stream.ts'
import {
  FRAME_BYTES,
  isReservedPrefix,
  KEY_OFFSET,
  parseFrameTail,
  TYPE_OFFSET,
  writeFrameTail,
} from './frame.ts'
import { deriveClientKeys, deriveDcKeys } from './keys.ts'

/** What a client's frame opens. */
export interface ClientSession {
  /** As the client signed it; null when it named none. */
  readonly dc: number | null
  /** Positioned behind the frame; the caller's to close. */
  readonly up: CtrStream
  /** Where the way back begins: ours to encrypt with, or the data centre's (decision W8). */
  readonly downKey: CtrKey
}

export type AcceptResult = { ok: true; session: ClientSession } | { ok: false; code: HandshakeCode }

/** Server side: read a client's 64-byte frame with the secret it proved to know (wire.md §5.1). */
export function acceptClientFrame(frame: Buffer, secretKey: Uint8Array, ciphers: Ciphers): AcceptResult {
  const keys = deriveClientKeys(frame, secretKey)
  const { stream: up, output: plain } = openWithFrame(keys.up, frame, ciphers)
  const tail = parseFrameTail(plain)
  if (tail.ok) return { ok: true, session: { dc: tail.dc, up, downKey: keys.down } }
  up.close()
  return tail
}

/** What our frame opens at the data centre. */
export interface DcSession {
  /** The 64 bytes to send first. */
  readonly wire: Buffer
  /** Positioned behind the frame; the caller's to close. */
  readonly up: CtrStream
  /** Where the way back begins: the client's own in fast mode, so that the data centre's bytes are right as they come. */
  readonly downKey: CtrKey
}

/**
 * Client side: a frame for the data centre in its canonical form, bytes 0–55 in the clear (decision W7). With
 * `clientDownKey` the data centre is made to encrypt with the client's own downlink stream (decision W8).
 * `randomBytes` is drawn again until the frame's beginning is not reserved for another transport.
 */
export function greetDc(
  dc: number,
  randomBytes: (size: number) => Buffer,
  clientDownKey: CtrKey | null,
  ciphers: Ciphers,
): DcSession {
  const frame = randomBytes(FRAME_BYTES)
  while (isReservedPrefix(frame)) randomBytes(KEY_OFFSET).copy(frame)
  if (clientDownKey !== null) {
    Buffer.concat([clientDownKey.key, clientDownKey.iv]).reverse().copy(frame, KEY_OFFSET)
  }
  writeFrameTail(frame, dc)

  const keys = deriveDcKeys(frame)
  const { stream: up, output: wire } = openWithFrame(keys.up, frame, ciphers)
  frame.copy(wire, 0, 0, TYPE_OFFSET)
  return { wire, up, downKey: keys.down }
}

/** The way up begins with the frame itself, which takes 64 bytes of its keystream. */
function openWithFrame(
  key: CtrKey,
  frame: Buffer,
  ciphers: Ciphers,
): { readonly stream: CtrStream; readonly output: Buffer } {
  const stream = ciphers.open(key)
  const output = Buffer.allocUnsafe(FRAME_BYTES)
  try {
    stream.transform(frame, output, 0)
  } catch (error) {
    stream.close()
    throw error
  }
  return { stream, output }
}
