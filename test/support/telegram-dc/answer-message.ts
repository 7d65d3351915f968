import { gunzipSync, gzipSync, inflateSync } from 'node:zlib'

import type { mtp } from '@mtcute/node'
import { __tlReaderMap, type NodeCryptoProvider } from '@mtcute/node/utils.js'

import { readApiRequest } from './api-request.ts'
import { answerRequest, buildRpcError, type Uploads } from './api.ts'
import type { AuthKey, AuthKeys, Session } from './auth-keys.ts'
import { checkBindRequest } from './bind-temp-key.ts'
import { answerServiceMessage } from './service-messages.ts'
import { createReader, int64, serialize, serializeBytes, TL, uint32 } from './tl.ts'

/** Shorter results are not worth compressing; file parts are random and never are. */
const MIN_GZIP_BYTES = 256
const MAX_GZIP_BYTES = 4096

/** What a message is answered from: the data centre's memory and where the message came in. */
export interface AnswerContext {
  readonly crypto: NodeCryptoProvider
  readonly dcId: number
  readonly authKeys: AuthKeys
  readonly uploads: Uploads
  readonly authKey: AuthKey
  readonly session: Session
  readonly sessionId: bigint
}

export interface Answer {
  readonly body: Uint8Array
  /** An answer to a call: its message id has another remainder, and the client acknowledges it. */
  readonly isResult: boolean
}

/** The answers to one message of a client, to each message in it if it is a container. */
export function answerMessage(context: AnswerContext, messageId: bigint, body: Buffer): Answer[] {
  const constructorId = body.readUInt32LE(0)
  if (constructorId === TL.gzipPacked) {
    return answerMessage(context, messageId, unpack(createReader(body.subarray(4)).bytes()))
  }
  if (constructorId === TL.msgContainer) return answerContainer(context, body)

  context.session.receivedIds.add(messageId)
  // Calls of the API are not in the map: client libraries only write them.
  if (__tlReaderMap[constructorId] === undefined) {
    return [buildResult(messageId, answerCall(context, messageId, body))]
  }
  // The map is generated from the schema: what it returns is one of the schema's objects.
  const message = createReader(body).object() as mtp.TlObject
  if (message._ === 'mt_rpc_drop_answer') {
    return [buildResult(messageId, serialize({ _: 'mt_rpc_answer_unknown' }))]
  }
  const answer = answerServiceMessage(context.authKey, context.session, messageId, message)
  if (answer === undefined) throw new Error(`a client does not send ${message._}`)
  return answer === null ? [] : [{ body: answer, isResult: false }]
}

/** `msg_container count { msg_id:long seqno:int bytes:int body }` */
function answerContainer(context: AnswerContext, body: Buffer): Answer[] {
  const answers: Answer[] = []
  let offset = 8
  for (let left = body.readUInt32LE(4); left > 0; left--) {
    const length = body.readUInt32LE(offset + 12)
    const inner = body.subarray(offset + 16, offset + 16 + length)
    answers.push(...answerMessage(context, body.readBigInt64LE(offset), inner))
    offset += 16 + length
  }
  return answers
}

function answerCall(context: AnswerContext, messageId: bigint, body: Buffer): Uint8Array {
  const { authKey, authKeys, session } = context
  const { request, initialises } = readApiRequest(createReader(body))
  if (request.method === 'auth.bindTempAuthKey') {
    const permanentKey = authKeys.get(request.permAuthKeyId)
    if (permanentKey === undefined) return buildRpcError(400, 'TEMP_AUTH_KEY_EMPTY')
    checkBindRequest({ ...context, temporaryKey: authKey, permanentKey, messageId }, request)
    authKey.bound = true
    return uint32(TL.boolTrue)
  }
  if (authKey.temporary && !authKey.bound) return buildRpcError(401, 'AUTH_KEY_PERM_EMPTY')
  session.initialised ||= initialises
  if (!session.initialised) return buildRpcError(400, 'CONNECTION_NOT_INITED')
  return answerRequest(context.dcId, context.uploads, request)
}

/** `rpc_result req_msg_id result`, the result packed when a real data centre would pack it. */
function buildResult(messageId: bigint, result: Uint8Array): Answer {
  const packed =
    result.length >= MIN_GZIP_BYTES && result.length <= MAX_GZIP_BYTES
      ? Buffer.concat([uint32(TL.gzipPacked), serializeBytes(gzipSync(result))])
      : result
  return { body: Buffer.concat([uint32(TL.rpcResult), int64(messageId), packed]), isResult: true }
}

/** Clients pack with gzip or zlib, whatever the name of the constructor says. */
function unpack(bytes: Uint8Array): Buffer {
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
  return isGzip ? gunzipSync(bytes) : inflateSync(bytes)
}
