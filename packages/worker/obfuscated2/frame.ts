/**
 * The 64 bytes that open an obfuscated2 stream (wire.md §5):
 *
 *     0   noise[8]      must not look like another transport
 *     8   key[32]       AES-256 key material
 *     40  iv[16]        CTR start
 *     56  type[4]       dd dd dd dd: padded intermediate
 *     60  dc i16le      negative for media
 *     62  noise[2]
 */
export const FRAME_BYTES = 64
export const KEY_OFFSET = 8
export const IV_OFFSET = 40
export const TYPE_OFFSET = 56
const DC_OFFSET = 60
export const KEY_BYTES = 32
export const IV_BYTES = 16

const PADDED_INTERMEDIATE = 0xdddddddd

/** First words, little-endian, that a data centre takes for another transport or for HTTP or TLS. */
const RESERVED_FIRST_WORDS = new Set([
  0x44414548, // "HEAD"
  0x54534f50, // "POST"
  0x20544547, // "GET "
  0x4954504f, // "OPTI"
  0x02010316, // 16 03 01 02, a TLS handshake
  0xdddddddd,
  0xeeeeeeee,
])
const ABRIDGED = 0xef

/** Whether the noise at the start of a frame would be read as another transport (wire.md §5.2). */
export function isReservedPrefix(frame: Buffer): boolean {
  return (
    frame[0] === ABRIDGED || RESERVED_FIRST_WORDS.has(frame.readUInt32LE(0)) || frame.readUInt32LE(4) === 0
  )
}

/** Read type and data centre of a decrypted frame. */
export function parseFrameTail(
  plain: Buffer,
): { ok: true; dc: number | null } | { ok: false; code: 'obfuscated2' } {
  if (plain.readUInt32LE(TYPE_OFFSET) !== PADDED_INTERMEDIATE) return { ok: false, code: 'obfuscated2' }
  const dc = plain.readInt16LE(DC_OFFSET)
  return { ok: true, dc: dc === 0 ? null : dc }
}

/** Write type and data centre into a frame that is not encrypted yet. */
export function writeFrameTail(frame: Buffer, dc: number): void {
  frame.writeUInt32LE(PADDED_INTERMEDIATE, TYPE_OFFSET)
  frame.writeInt16LE(dc, DC_OFFSET)
}

/** Bytes 8–55 backwards: the key and IV of the other direction. */
export function reverseKeys(frame: Buffer): Buffer {
  return Buffer.from(frame.subarray(KEY_OFFSET, TYPE_OFFSET)).reverse()
}
