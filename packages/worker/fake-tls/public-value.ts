import { generateKeyPairSync } from 'node:crypto'

/** DER of an X25519 SubjectPublicKeyInfo is a fixed header of 12 bytes and the value (RFC 8410 §4). */
const SPKI_HEADER_BYTES = 12

/**
 * A public value as a real X25519 key share has it. Random bytes would do for the client, but half of them are not
 * on the curve, which a censor can check.
 */
export function generatePublicValue(): Buffer {
  const { publicKey } = generateKeyPairSync('x25519')
  return publicKey.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEADER_BYTES)
}
