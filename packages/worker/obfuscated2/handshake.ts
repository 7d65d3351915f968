import type { HandshakeCode } from '#shared/errors'
import { createCtrStream, deriveClientKeys, deriveDcKeys, type CtrKey, type CtrStream } from './ciphers.ts'
import {
  FRAME_BYTES,
  isReservedPrefix,
  KEY_OFFSET,
  parseFrameTail,
  TYPE_OFFSET,
  writeFrameTail,
} from './frame.ts'

/** What a client's frame opens: both streams, positioned behind the frame. */
export interface ClientSession {
  /** As the client signed it; null when it named none. */
  readonly dc: number | null
  readonly up: CtrStream
  readonly down: CtrStream
  /** Where `down` begins: the data centre can be given it to encrypt with (decision W8). */
  readonly downKey: CtrKey
}

export type AcceptResult = { ok: true; session: ClientSession } | { ok: false; code: HandshakeCode }

/** Server side: read a client's 64-byte frame with the secret it proved to know (wire.md §5.1). */
export function acceptClientFrame(frame: Buffer, secretKey: Uint8Array): AcceptResult {
  const keys = deriveClientKeys(frame, secretKey)
  const up = createCtrStream(keys.up)
  const tail = parseFrameTail(up.update(frame))
  if (!tail.ok) return tail
  return {
    ok: true,
    session: { dc: tail.dc, up, down: createCtrStream(keys.down), downKey: keys.down },
  }
}

/** What our frame opens at the data centre. */
export interface DcSession {
  /** The 64 bytes to send first. */
  readonly wire: Buffer
  readonly up: CtrStream
  /** null in fast mode: the data centre's bytes are the client's as they come. */
  readonly down: CtrStream | null
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
): DcSession {
  const frame = randomBytes(FRAME_BYTES)
  while (isReservedPrefix(frame)) randomBytes(KEY_OFFSET).copy(frame)
  if (clientDownKey !== null) {
    Buffer.concat([clientDownKey.key, clientDownKey.iv]).reverse().copy(frame, KEY_OFFSET)
  }
  writeFrameTail(frame, dc)

  const keys = deriveDcKeys(frame)
  const up = createCtrStream(keys.up)
  const wire = Buffer.from(frame)
  up.update(frame).copy(wire, TYPE_OFFSET, TYPE_OFFSET)
  return { wire, up, down: clientDownKey === null ? createCtrStream(keys.down) : null }
}
