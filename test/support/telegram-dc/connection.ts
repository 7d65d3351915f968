import type { DiffieHellman } from 'node:crypto'

import type { NodeCryptoProvider } from '@mtcute/node/utils.js'

import { type Answer, answerMessage } from './answer-message.ts'
import type { Uploads } from './api.ts'
import type { AuthKey, AuthKeys, Session } from './auth-keys.ts'
import { decryptClientMessage, encryptServerMessage } from './encrypted-message.ts'
import { KeyExchange } from './key-exchange.ts'
import { buildPacket, buildTransportError } from './obfuscated-transport.ts'
import type { TelegramRsaKey } from './rsa-key.ts'
import { buildBadServerSalt, buildNewSessionCreated } from './service-messages.ts'
import { int64, TL, uint32 } from './tl.ts'

/** auth_key_id, message_id and length of an unencrypted message. */
const PLAIN_HEADER_BYTES = 20
/** A bare error code, which only servers send, or nothing at all. */
const MIN_PACKET_BYTES = 8
/** Larger answers travel alone, as file parts do. */
const MAX_CONTAINER_ITEM_BYTES = 16 * 1024

/** What all connections of a data centre share. */
export interface DcState {
  readonly crypto: NodeCryptoProvider
  readonly dcId: number
  readonly rsaKey: TelegramRsaKey
  readonly dh: DiffieHellman
  readonly authKeys: AuthKeys
  readonly uploads: Uploads
  /** Told of each key that was made, with the data centre of the frame. */
  readonly onKeyExchange: (exchange: { dc: number; temporary: boolean }) => void
}

/** Message ids of this process grow over all connections: the time in seconds in the upper half, remainder 1 or 3. */
let lastMessageId = 0n
function nextMessageId(isResult: boolean): bigint {
  const now = ((BigInt(Date.now()) << 32n) / 1000n) & ~3n
  const base = now > lastMessageId ? now : (lastMessageId & ~3n) + 4n
  lastMessageId = base | (isResult ? 1n : 3n)
  return lastMessageId
}

/** One MTProto connection behind the transport: packets in, packets out. */
export class DcConnection {
  #state: DcState
  #keyExchange: KeyExchange

  constructor(state: DcState, frameDc: number) {
    this.#state = state
    this.#keyExchange = new KeyExchange({
      ...state,
      frameDc,
      onKey: (key) => {
        state.authKeys.set(key.id, key)
        state.onKeyExchange({ dc: frameDc, temporary: key.temporary })
      },
    })
  }

  /** The packets that answer one packet of the client. Throws when the client breaks the protocol. */
  answer(packet: Buffer): Buffer[] {
    if (packet.length < MIN_PACKET_BYTES) throw new Error(`a packet of ${packet.length} bytes`)
    const authKeyId = packet.readBigInt64LE(0)
    if (authKeyId === 0n) return [buildPacket(this.#answerPlain(packet))]
    const authKey = this.#state.authKeys.get(authKeyId)
    return authKey === undefined ? [buildTransportError(404)] : this.#answerEncrypted(authKey, packet)
  }

  #answerPlain(packet: Buffer): Buffer {
    const length = packet.readUInt32LE(16)
    const body = packet.subarray(PLAIN_HEADER_BYTES, PLAIN_HEADER_BYTES + length)
    if (body.length < length) throw new Error('an unencrypted message is shorter than it says')
    const answer = this.#keyExchange.answer(body)
    return Buffer.concat([int64(0n), int64(nextMessageId(true)), uint32(answer.length), answer])
  }

  #answerEncrypted(authKey: AuthKey, packet: Buffer): Buffer[] {
    const { crypto } = this.#state
    const { salt, sessionId, messageId, body } = decryptClientMessage(crypto, authKey.key, packet)
    const known = authKey.sessions.get(sessionId)
    const session: Session = known ?? { receivedIds: new Set(), initialised: false, sentCount: 0 }
    authKey.sessions.set(sessionId, session)
    const seal = (answer: Answer): Buffer => {
      const header = { messageId: nextMessageId(answer.isResult), seqNo: nextSeqNo(session, answer.isResult) }
      const message = { salt: authKey.salt, sessionId, ...header, body: Buffer.from(answer.body) }
      return buildPacket(encryptServerMessage(crypto, authKey, message))
    }

    if (!authKey.salts.has(salt)) {
      return [seal({ body: buildBadServerSalt(authKey, messageId), isResult: false })]
    }
    const answers = answerMessage({ ...this.#state, authKey, session, sessionId }, messageId, body)
    if (known === undefined) {
      // A container's id is above those of its contents, and whatever is below the first one gets sent again.
      const firstId = [...session.receivedIds].reduce((first, id) => (id < first ? id : first), messageId)
      answers.unshift({ body: buildNewSessionCreated(authKey, firstId), isResult: false })
    }
    return packAnswers(session, answers).map(seal)
  }
}

/** Content-related messages have odd numbers. */
function nextSeqNo(session: Session, contentRelated: boolean): number {
  return contentRelated ? session.sentCount++ * 2 + 1 : session.sentCount * 2
}

/** Small answers go together into one container, as real data centres do it. */
function packAnswers(session: Session, answers: readonly Answer[]): Answer[] {
  const small = answers.filter((answer) => answer.body.length <= MAX_CONTAINER_ITEM_BYTES)
  if (small.length < 2) return [...answers]
  const items = small.map(({ body, isResult }) =>
    Buffer.concat([
      int64(nextMessageId(isResult)),
      uint32(nextSeqNo(session, isResult)),
      uint32(body.length),
      body,
    ]),
  )
  const container = Buffer.concat([uint32(TL.msgContainer), uint32(items.length), ...items])
  const large = answers.filter((answer) => answer.body.length > MAX_CONTAINER_ITEM_BYTES)
  return [{ body: container, isResult: false }, ...large]
}
