import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'

import type { NodeCryptoProvider } from '@mtcute/node/utils.js'

import { int64, uint32 } from './tl.ts'

/** auth_key_id and msg_key stand before the encrypted part. */
const HEADER_BYTES = 24
/** salt, session id, message id, sequence number, length stand at the beginning of the encrypted part. */
const INNER_HEADER_BYTES = 32
/** core.telegram.org/mtproto/description: between 12 and 1024 bytes of padding. */
const MIN_PADDING_BYTES = 12
const MAX_PADDING_BYTES = 1024
/** Message ids carry the time: at most 300 s old, at most 30 s ahead. */
const MAX_AGE_S = 300
const MAX_AHEAD_S = 30

type Crypto = NodeCryptoProvider

export interface ClientMessage {
  readonly salt: bigint
  readonly sessionId: bigint
  readonly messageId: bigint
  readonly body: Buffer
}

export interface ServerMessage extends ClientMessage {
  readonly seqNo: number
}

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** MTProto 2.0: `x` is 0 for what the client sends and 8 for what the server sends. */
function createMessageCipher(crypto: Crypto, authKey: Buffer, messageKey: Buffer, x: 0 | 8) {
  const a = sha256(messageKey, authKey.subarray(x, x + 36))
  const b = sha256(authKey.subarray(x + 40, x + 76), messageKey)
  const key = Buffer.concat([a.subarray(0, 8), b.subarray(8, 24), a.subarray(24)])
  const iv = Buffer.concat([b.subarray(0, 8), a.subarray(8, 24), b.subarray(24)])
  return crypto.createAesIge(key, iv)
}

/**
 * Open a client's message (core.telegram.org/mtproto/description). `packet` may carry the transport's padding. Throws
 * an AssertionError for anything that a data centre has to refuse.
 */
export function decryptClientMessage(crypto: Crypto, authKey: Buffer, packet: Buffer): ClientMessage {
  const messageKey = packet.subarray(8, HEADER_BYTES)
  // The transport adds fewer than 16 bytes, so whole blocks are the message.
  const encrypted = packet.subarray(HEADER_BYTES, packet.length - ((packet.length - HEADER_BYTES) % 16))
  assert.ok(encrypted.length >= INNER_HEADER_BYTES, 'an encrypted message without a header')
  const plain = Buffer.from(createMessageCipher(crypto, authKey, messageKey, 0).decrypt(encrypted))
  const expectedKey = sha256(authKey.subarray(88, 120), plain).subarray(8, 24)
  assert.deepEqual(messageKey, expectedKey, 'the message key does not fit the message')

  const length = plain.readUInt32LE(28)
  const paddingBytes = plain.length - INNER_HEADER_BYTES - length
  assert.ok(length % 4 === 0, 'the length of a message is a multiple of four')
  assert.ok(
    paddingBytes >= MIN_PADDING_BYTES && paddingBytes <= MAX_PADDING_BYTES,
    `${paddingBytes} bytes of padding`,
  )
  const messageId = plain.readBigInt64LE(16)
  assert.equal(messageId & 3n, 0n, 'message ids of a client are multiples of four')
  const ageS = Date.now() / 1000 - Number(messageId >> 32n)
  assert.ok(ageS <= MAX_AGE_S && ageS >= -MAX_AHEAD_S, `the message id is ${ageS} s old`)
  return {
    salt: plain.readBigInt64LE(0),
    sessionId: plain.readBigInt64LE(8),
    messageId,
    body: plain.subarray(INNER_HEADER_BYTES, INNER_HEADER_BYTES + length),
  }
}

/** Seal a message to the client: auth_key_id, msg_key, encrypted part. */
export function encryptServerMessage(
  crypto: Crypto,
  authKey: { readonly key: Buffer; readonly id: bigint },
  message: ServerMessage,
): Buffer {
  const inner = Buffer.concat([
    int64(message.salt),
    int64(message.sessionId),
    int64(message.messageId),
    uint32(message.seqNo),
    uint32(message.body.length),
    message.body,
  ])
  const alignment = (16 - ((inner.length + MIN_PADDING_BYTES) % 16)) % 16
  const plain = Buffer.concat([inner, randomBytes(MIN_PADDING_BYTES + alignment)])
  const messageKey = sha256(authKey.key.subarray(96, 128), plain).subarray(8, 24)
  const encrypted = createMessageCipher(crypto, authKey.key, messageKey, 8).encrypt(plain)
  return Buffer.concat([int64(authKey.id), messageKey, encrypted])
}
