import { generateKeyPairSync, type KeyObject } from 'node:crypto'

export const PUBLIC_VALUE_BYTES = 32
/** DER of an X25519 SubjectPublicKeyInfo is a fixed header of 12 bytes and the value (RFC 8410 §4). */
const SPKI_HEADER_BYTES = 12

/**
 * A public value as a real X25519 key share has it, 32 bytes. Random bytes would do for the client, but half of them
 * are not on the curve, which a censor can check.
 */
export function generatePublicValue(): Buffer {
  return exportValue(generateKeyPairSync('x25519').publicKey)
}

const exportValue = canExportRaw() ? exportRaw : exportSpki

/** Half the cost of the DER way; Node 24 does not have it. */
function exportRaw(key: KeyObject): Buffer {
  return key.export({ format: 'raw-public' })
}

function exportSpki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEADER_BYTES)
}

function canExportRaw(): boolean {
  try {
    return exportRaw(generateKeyPairSync('x25519').publicKey).length === PUBLIC_VALUE_BYTES
  } catch {
    return false
  }
}
