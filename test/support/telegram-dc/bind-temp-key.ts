import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'

import type { mtp } from '@mtcute/node'
import type { NodeCryptoProvider } from '@mtcute/node/utils.js'

import type { BindRequest } from './api-request.ts'
import type { AuthKey } from './auth-keys.ts'
import { createReader, fromLong } from './tl.ts'

const MESSAGE_HEADER_BYTES = 32
const INNER_BYTES = 40

const sha1 = (...parts: Buffer[]): Buffer => createHash('sha1').update(Buffer.concat(parts)).digest()

export interface BindContext {
  readonly crypto: NodeCryptoProvider
  readonly temporaryKey: AuthKey
  readonly permanentKey: AuthKey
  readonly sessionId: bigint
  readonly messageId: bigint
}

/**
 * Check that the owner of a permanent key wants a temporary one bound to it
 * (core.telegram.org/method/auth.bindTempAuthKey). Throws an AssertionError for anything else.
 */
export function checkBindRequest(context: BindContext, request: BindRequest): void {
  const { crypto, temporaryKey, permanentKey } = context
  const encrypted = request.encryptedMessage
  assert.equal(encrypted.readBigInt64LE(0), permanentKey.id, 'bound with another permanent key')
  const messageKey = encrypted.subarray(8, 24)
  const [key, iv] = deriveMtproto1Key(permanentKey.key, messageKey)
  const plain = Buffer.from(crypto.createAesIge(key, iv).decrypt(encrypted.subarray(24)))
  const message = plain.subarray(0, MESSAGE_HEADER_BYTES + INNER_BYTES)
  assert.deepEqual(messageKey, sha1(message).subarray(4, 20), 'bind: message key')
  assert.equal(message.readBigInt64LE(16), context.messageId, 'bind: another message id')

  // The reader's map is generated from the schema: what it returns is one of the schema's objects.
  const inner = createReader(message.subarray(MESSAGE_HEADER_BYTES)).object() as mtp.TlObject
  assert.ok(inner._ === 'mt_bind_auth_key_inner', `${inner._} is not bind_auth_key_inner`)
  assert.equal(fromLong(inner.nonce), request.nonce, 'bind: nonce')
  assert.equal(fromLong(inner.tempAuthKeyId), temporaryKey.id, 'bind: temporary key')
  assert.equal(fromLong(inner.permAuthKeyId), permanentKey.id, 'bind: permanent key')
  assert.equal(fromLong(inner.tempSessionId), context.sessionId, 'bind: session')
  assert.equal(inner.expiresAt, request.expiresAt, 'bind: expiry')
}

/** MTProto 1.0's key derivation for messages of a client, which lives on in this one call. */
function deriveMtproto1Key(authKey: Buffer, messageKey: Buffer): [key: Buffer, iv: Buffer] {
  const a = sha1(messageKey, authKey.subarray(0, 32))
  const b = sha1(authKey.subarray(32, 48), messageKey, authKey.subarray(48, 64))
  const c = sha1(authKey.subarray(64, 96), messageKey)
  const d = sha1(messageKey, authKey.subarray(96, 128))
  return [
    Buffer.concat([a.subarray(0, 8), b.subarray(8, 20), c.subarray(4, 16)]),
    Buffer.concat([a.subarray(8, 20), b.subarray(0, 8), c.subarray(16, 20), d.subarray(0, 8)]),
  ]
}
