import assert from 'node:assert/strict'
import { constants, createHash, generateKeyPairSync, type KeyObject, privateDecrypt } from 'node:crypto'

import { type NodeCryptoProvider, parsePublicKey } from '@mtcute/node/utils.js'

/** Layout of RSA_PAD's plain block (core.telegram.org/mtproto/auth_key, step 4.1). */
const KEY_XOR_BYTES = 32
const PADDED_DATA_BYTES = 192
const RSA_KEY_BITS = 2048

export interface TelegramRsaKey {
  /** PKCS #1, as client libraries embed it. */
  readonly publicKeyPem: string
  /** Lower 64 bits of SHA-1 over the TL form of modulus and exponent. */
  readonly fingerprint: bigint
  readonly privateKey: KeyObject
}

/** mtcute 0.30 looks keys up by their fingerprint in hexadecimal and forgets leading zeros. */
const LEAST_FINGERPRINT = 1n << 60n

export function generateRsaKey(crypto: NodeCryptoProvider): TelegramRsaKey {
  for (;;) {
    const key = drawRsaKey(crypto)
    if (BigInt.asUintN(64, key.fingerprint) >= LEAST_FINGERPRINT) return key
  }
}

function drawRsaKey(crypto: NodeCryptoProvider): TelegramRsaKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: RSA_KEY_BITS })
  const publicKeyPem = publicKey.export({ type: 'pkcs1', format: 'pem' })
  const fingerprint = BigInt(`0x${parsePublicKey(crypto, publicKeyPem).fingerprint}`)
  return { publicKeyPem, fingerprint: BigInt.asIntN(64, fingerprint), privateKey }
}

/**
 * Undo RSA_PAD (core.telegram.org/mtproto/auth_key, step 4.1): 192 bytes, the data and random padding after it. Throws
 * an AssertionError when the hash inside does not fit.
 */
export function decryptRsaPad(
  crypto: NodeCryptoProvider,
  key: TelegramRsaKey,
  encrypted: Uint8Array,
): Buffer {
  const block = privateDecrypt({ key: key.privateKey, padding: constants.RSA_NO_PADDING }, encrypted)
  const aesEncrypted = block.subarray(KEY_XOR_BYTES)
  const temporaryKey = createHash('sha256').update(aesEncrypted).digest()
  for (let index = 0; index < KEY_XOR_BYTES; index++) {
    temporaryKey[index] = (temporaryKey[index] ?? 0) ^ (block[index] ?? 0)
  }
  const dataWithHash = Buffer.from(
    crypto.createAesIge(temporaryKey, new Uint8Array(32)).decrypt(aesEncrypted),
  )
  const data = dataWithHash.subarray(0, PADDED_DATA_BYTES).toReversed()
  const hash = createHash('sha256').update(temporaryKey).update(data).digest()
  assert.deepEqual(dataWithHash.subarray(PADDED_DATA_BYTES), hash, 'RSA_PAD: the hash does not fit the data')
  return Buffer.from(data)
}
