import assert from 'node:assert/strict'
import { createDiffieHellman, createHash, type DiffieHellman, randomBytes } from 'node:crypto'

import type { mtp } from '@mtcute/node'
import type { NodeCryptoProvider } from '@mtcute/node/utils.js'

import { type AuthKey, buildAuthKey } from './auth-keys.ts'
import { decryptRsaPad, type TelegramRsaKey } from './rsa-key.ts'
import { createReader, serialize, toLong } from './tl.ts'

/**
 * 65537 × 2147483647. Factors of one size, as the real ones have, make @mtcute's factorisation answer 1 × pq once in
 * 1,500 times, and a test fails that makes 40 keys.
 */
const PQ = Buffer.from('80007ffeffff', 'hex')
const P = Buffer.from('010001', 'hex')
const Q = Buffer.from('7fffffff', 'hex')
/** Telegram's own prime and generator; clients know it and skip their primality test. */
const DH_GENERATOR = 3
const DH_PRIME = Buffer.from(
  'c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4dbfa336f6e' +
    '0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f642477fe96bb2a941d' +
    '5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0e' +
    'f1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4e418fc15e83ebea0f87fa9ff5eed7005' +
    '0ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b',
  'hex',
)

const sha1 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** One pair for all exchanges: OpenSSL checks the prime for 0.4 s whenever it is given one. */
export function generateDhKeys(): DiffieHellman {
  const dh = createDiffieHellman(DH_PRIME, DH_GENERATOR)
  dh.generateKeys()
  return dh
}

export interface KeyExchangeOptions {
  readonly crypto: NodeCryptoProvider
  readonly rsaKey: TelegramRsaKey
  readonly dh: DiffieHellman
  /** The data centre in the connection's frame: the client has to mean the same one. */
  readonly frameDc: number
  readonly onKey: (key: AuthKey) => void
}

/** The data centre's side of core.telegram.org/mtproto/auth_key, one exchange at a time. */
export class KeyExchange {
  #options: KeyExchangeOptions
  #nonce: Uint8Array
  #serverNonce: Uint8Array
  #newNonce: Uint8Array
  #temporary: boolean

  constructor(options: KeyExchangeOptions) {
    this.#options = options
    this.#nonce = Buffer.alloc(0)
    this.#serverNonce = Buffer.alloc(0)
    this.#newNonce = Buffer.alloc(0)
    this.#temporary = false
  }

  /** The answer to one unencrypted message. Throws for a client that breaks the protocol. */
  answer(body: Uint8Array): Uint8Array {
    // The reader's map is generated from the schema: what it returns is one of the schema's objects.
    const message = createReader(body).object() as mtp.TlObject
    if (message._ === 'mt_req_pq_multi') return this.#offerPq(message)
    if (message._ === 'mt_req_DH_params') return this.#offerDhParams(message)
    if (message._ === 'mt_set_client_DH_params') return this.#completeKey(message)
    throw new Error(`${message._} does not belong to a key exchange`)
  }

  #offerPq(message: mtp.RawMt_req_pq_multi): Uint8Array {
    this.#nonce = message.nonce
    this.#serverNonce = randomBytes(16)
    return serialize({
      _: 'mt_resPQ',
      nonce: this.#nonce,
      serverNonce: this.#serverNonce,
      pq: PQ,
      serverPublicKeyFingerprints: [toLong(this.#options.rsaKey.fingerprint)],
    })
  }

  #offerDhParams(message: mtp.RawMt_req_DH_params): Uint8Array {
    const { crypto, rsaKey, dh, frameDc } = this.#options
    this.#checkNonces(message)
    assert.deepEqual(Buffer.from(message.p), P, 'p is not a factor of pq')
    assert.deepEqual(Buffer.from(message.q), Q, 'q is not a factor of pq')

    // As above: the schema's object.
    const inner = createReader(decryptRsaPad(crypto, rsaKey, message.encryptedData)).object() as mtp.TlObject
    assert.ok(
      inner._ === 'mt_p_q_inner_data_dc' || inner._ === 'mt_p_q_inner_data_temp_dc',
      `${inner._} is not p_q_inner_data`,
    )
    this.#checkNonces(inner)
    assert.equal(inner.dc, frameDc, 'the client means another data centre than its frame')
    this.#newNonce = inner.newNonce
    this.#temporary = inner._ === 'mt_p_q_inner_data_temp_dc'

    const answer = serialize({
      _: 'mt_server_DH_inner_data',
      nonce: this.#nonce,
      serverNonce: this.#serverNonce,
      g: DH_GENERATOR,
      dhPrime: DH_PRIME,
      gA: dh.getPublicKey(),
      serverTime: Math.floor(Date.now() / 1000),
    })
    const hashed = Buffer.concat([sha1(answer), answer])
    const padding = randomBytes((16 - (hashed.length % 16)) % 16)
    return serialize({
      _: 'mt_server_DH_params_ok',
      nonce: this.#nonce,
      serverNonce: this.#serverNonce,
      encryptedAnswer: this.#createNonceCipher().encrypt(Buffer.concat([hashed, padding])),
    })
  }

  #completeKey(message: mtp.RawMt_set_client_DH_params): Uint8Array {
    this.#checkNonces(message)
    const decrypted = Buffer.from(this.#createNonceCipher().decrypt(message.encryptedData))
    const reader = createReader(decrypted.subarray(20))
    // As above: the schema's object.
    const inner = reader.object() as mtp.TlObject
    assert.ok(inner._ === 'mt_client_DH_inner_data', `${inner._} is not client_DH_inner_data`)
    this.#checkNonces(inner)
    assert.deepEqual(
      decrypted.subarray(0, 20),
      sha1(decrypted.subarray(20, 20 + reader.pos)),
      'client_DH hash',
    )

    const key = this.#options.dh.computeSecret(inner.gB)
    const nonces = { nonce: this.#nonce, serverNonce: this.#serverNonce }
    if (key[0] === 0) {
      // Some clients drop a leading zero byte of the key and would never agree with us: ask for another g_b, and
      // hash what such a client holds, so that it believes us.
      const auxHash = sha1(key.subarray(key.findIndex((byte) => byte !== 0))).subarray(0, 8)
      const newNonceHash2 = sha1(this.#newNonce, Buffer.of(2), auxHash).subarray(4)
      return serialize({ _: 'mt_dh_gen_retry', ...nonces, newNonceHash2 })
    }
    const salt = Buffer.alloc(8)
    for (let index = 0; index < 8; index++) {
      salt[index] = (this.#newNonce[index] ?? 0) ^ (this.#serverNonce[index] ?? 0)
    }
    this.#options.onKey(buildAuthKey(key, salt.readBigInt64LE(), this.#temporary))
    const newNonceHash1 = sha1(this.#newNonce, Buffer.of(1), sha1(key).subarray(0, 8)).subarray(4)
    return serialize({ _: 'mt_dh_gen_ok', ...nonces, newNonceHash1 })
  }

  #checkNonces(message: { nonce: Uint8Array; serverNonce: Uint8Array }): void {
    assert.deepEqual(Buffer.from(message.nonce), Buffer.from(this.#nonce), 'another nonce')
    assert.deepEqual(Buffer.from(message.serverNonce), Buffer.from(this.#serverNonce), 'another server_nonce')
  }

  /** AES-256-IGE under the temporary key that both nonces make (step 6 of the specification). */
  #createNonceCipher(): ReturnType<NodeCryptoProvider['createAesIge']> {
    const newThenServer = sha1(this.#newNonce, this.#serverNonce)
    const serverThenNew = sha1(this.#serverNonce, this.#newNonce)
    const newThenNew = sha1(this.#newNonce, this.#newNonce)
    const key = Buffer.concat([newThenServer, serverThenNew.subarray(0, 12)])
    const iv = Buffer.concat([serverThenNew.subarray(12), newThenNew, this.#newNonce.subarray(0, 4)])
    return this.#options.crypto.createAesIge(key, iv)
  }
}
