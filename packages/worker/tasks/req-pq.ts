/**
 * The first exchange of MTProto (core.telegram.org/mtproto/auth_key), unencrypted, in padded intermediate packets:
 *
 *     0   length u32le            of what follows, padding included
 *     4   auth_key_id i64 = 0
 *     12  message_id i64
 *     20  body length u32le
 *     24  body                    req_pq_multi: constructor u32le | nonce[16]
 *                                 resPQ: constructor u32le | nonce[16] | server_nonce[16] | pq | fingerprints
 *         padding                 0-15 bytes
 */
const REQ_PQ_MULTI = 0xbe7e8ef1
const RES_PQ = 0x05162463
export const NONCE_BYTES = 16
const LENGTH_BYTES = 4
const PLAIN_HEADER_BYTES = 20
const CONSTRUCTOR_BYTES = 4
const NONCE_OFFSET = PLAIN_HEADER_BYTES + CONSTRUCTOR_BYTES
/** A transport error is a packet of one negative number, such as -404. */
const TRANSPORT_ERROR_BYTES = 4
/** resPQ with one fingerprint and no padding has 84 bytes, with all keys that Telegram ever had below 200. */
const MIN_ANSWER_BYTES = 40
const MAX_ANSWER_BYTES = 256

/** `padding` of 0 to 15 bytes; `messageId` is the Unix time times 2^32, divisible by 4. */
export function buildReqPqMulti(nonce: Buffer, messageId: bigint, padding: Buffer): Buffer {
  const bodyBytes = CONSTRUCTOR_BYTES + NONCE_BYTES
  const packet = Buffer.alloc(LENGTH_BYTES + PLAIN_HEADER_BYTES + bodyBytes)
  packet.writeUInt32LE(PLAIN_HEADER_BYTES + bodyBytes + padding.length, 0)
  packet.writeBigInt64LE(messageId, LENGTH_BYTES + 8)
  packet.writeUInt32LE(bodyBytes, LENGTH_BYTES + 16)
  packet.writeUInt32LE(REQ_PQ_MULTI, LENGTH_BYTES + PLAIN_HEADER_BYTES)
  nonce.copy(packet, LENGTH_BYTES + NONCE_OFFSET)
  return Buffer.concat([packet, padding])
}

export type ResPqResult = 'incomplete' | { ok: true } | { ok: false; reason: string }

/** Whether `received`, decrypted and from the first byte on, is the answer to the request with this nonce. */
export function checkResPq(received: Buffer, nonce: Buffer): ResPqResult {
  if (received.length < LENGTH_BYTES) return 'incomplete'
  const length = received.readUInt32LE(0)
  if (length !== TRANSPORT_ERROR_BYTES && (length < MIN_ANSWER_BYTES || length > MAX_ANSWER_BYTES))
    return { ok: false, reason: 'not Telegram: what answers there does not speak MTProto' }
  if (received.length < LENGTH_BYTES + length) return 'incomplete'
  const packet = received.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
  if (length === TRANSPORT_ERROR_BYTES)
    return { ok: false, reason: `transport error ${packet.readInt32LE(0)}` }
  if (packet.readBigInt64LE(0) !== 0n || packet.readUInt32LE(PLAIN_HEADER_BYTES) !== RES_PQ)
    return { ok: false, reason: 'the answer is no resPQ' }
  if (!packet.subarray(NONCE_OFFSET, NONCE_OFFSET + NONCE_BYTES).equals(nonce))
    return { ok: false, reason: 'the answer has another nonce' }
  return { ok: true }
}
