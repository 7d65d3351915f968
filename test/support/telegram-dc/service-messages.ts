import { randomBytes } from 'node:crypto'

import type { mtp } from '@mtcute/node'

import { type AuthKey, issueSalt, type Session } from './auth-keys.ts'
import { fromLong, serialize, toLong } from './tl.ts'

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
 * The first salt is the one in use, the others follow. A temporary key gets none for later: @mtcute keeps a timer for
 * those which it does not clear when the client is destroyed, and the process would live on for half an hour.
 */
function buildFutureSalts(authKey: AuthKey, messageId: bigint): Uint8Array {
  const now = Math.floor(Date.now() / 1000)
  const salts = Array.from(
    { length: authKey.temporary ? 1 : FUTURE_SALTS },
    (_, index): mtp.RawMt_future_salt => ({
      _: 'mt_future_salt',
      validSince: now + index * SALT_PERIOD_S,
      validUntil: now + (index + 2) * SALT_PERIOD_S,
      salt: toLong(index === 0 ? authKey.salt : issueSalt(authKey)),
    }),
  )
  return serialize({
    _: 'mt_future_salts',
    reqMsgId: toLong(messageId),
    now,
    salts,
  })
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
