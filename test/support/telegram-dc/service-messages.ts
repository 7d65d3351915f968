import { randomBytes } from 'node:crypto'

import type { mtp } from '@mtcute/node'

import { type AuthKey, issueSalt, type Session } from './auth-keys.ts'
import { fromLong, int64, serialize, TL, toLong, uint32 } from './tl.ts'

/** Salts handed out in advance, each for half an hour (core.telegram.org/mtproto/service_messages). */
const FUTURE_SALTS = 3
const SALT_PERIOD_S = 1800
/** msgs_state_info: 1 = nothing known, 4 = received. */
const STATE_UNKNOWN = 1
const STATE_RECEIVED = 4

/** The answer to a service message of the client, null if it wants none, undefined if it is not a service message. */
export function answerServiceMessage(
  authKey: AuthKey,
  session: Session,
  messageId: bigint,
  message: mtp.TlObject,
): Uint8Array | null | undefined {
  if (message._ === 'mt_ping' || message._ === 'mt_ping_delay_disconnect') {
    const pong: mtp.RawMt_pong = { _: 'mt_pong', msgId: toLong(messageId), pingId: message.pingId }
    return serialize(pong)
  }
  if (message._ === 'mt_msgs_ack') return null
  if (message._ === 'mt_get_future_salts') return buildFutureSalts(authKey, messageId)
  if (message._ === 'mt_msgs_state_req') {
    const states = message.msgIds.map((id) =>
      session.receivedIds.has(fromLong(id)) ? STATE_RECEIVED : STATE_UNKNOWN,
    )
    return serialize({
      _: 'mt_msgs_state_info',
      reqMsgId: toLong(messageId),
      info: Buffer.from(states),
    })
  }
  if (message._ === 'mt_destroy_session') {
    const known = authKey.sessions.delete(fromLong(message.sessionId))
    return serialize({
      _: known ? 'mt_destroy_session_ok' : 'mt_destroy_session_none',
      sessionId: message.sessionId,
    })
  }
  return undefined
}

/**
 * `future_salts req_msg_id now count { valid_since valid_until salt }`, by hand because @mtcute only reads it. The
 * first salt is the one in use, the others follow. A temporary key gets none for later: @mtcute keeps a timer for those
 * which it does not clear when the client is destroyed, and the process would live on for half an hour.
 */
function buildFutureSalts(authKey: AuthKey, messageId: bigint): Uint8Array {
  const now = Math.floor(Date.now() / 1000)
  const count = authKey.temporary ? 1 : FUTURE_SALTS
  const salts = Array.from({ length: count }, (_, index) => {
    const validSince = now + index * SALT_PERIOD_S
    const salt = index === 0 ? authKey.salt : issueSalt(authKey)
    return Buffer.concat([uint32(validSince), uint32(validSince + 2 * SALT_PERIOD_S), int64(salt)])
  })
  return Buffer.concat([uint32(TL.futureSalts), int64(messageId), uint32(now), uint32(count), ...salts])
}

export function buildNewSessionCreated(authKey: AuthKey, firstMessageId: bigint): Uint8Array {
  return serialize({
    _: 'mt_new_session_created',
    firstMsgId: toLong(firstMessageId),
    uniqueId: toLong(randomBytes(8).readBigInt64LE()),
    serverSalt: toLong(authKey.salt),
  })
}

/** Error 48: the client has to send it again with the salt given here. */
export function buildBadServerSalt(authKey: AuthKey, messageId: bigint): Uint8Array {
  return serialize({
    _: 'mt_bad_server_salt',
    badMsgId: toLong(messageId),
    badMsgSeqno: 0,
    errorCode: 48,
    newServerSalt: toLong(authKey.salt),
  })
}
