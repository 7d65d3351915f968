import { randomBytes } from 'node:crypto'
import type { HostPort } from '#shared/dc'
import { BugError } from '#shared/errors'
import { dcSlot } from '#shared/state/layout'
import type { Connection } from '../connection.ts'
import { createPacer } from '../doppelganger/pacer.ts'
import type { HandshakeInput } from '../handshake-input.ts'
import type { CtrKey, CtrStream } from '../obfuscated2/ctr-stream.ts'
import { greetDc, type ClientSession } from '../obfuscated2/handshake.ts'
import { conveyDown, conveyUp, sendUp, type SessionMeters } from '../relay/convey.ts'
import type { ByteSocket } from '../socket/byte-socket.ts'

/** A client's session and the data centre that was reached for it. */
export interface DialledSession {
  readonly session: ClientSession
  readonly socket: ByteSocket
  readonly address: HostPort
  /** What goes into our frame: as the client signed it, or the fallback. */
  readonly dc: number
}

/**
 * Greet the data centre and relay until both sides have ended.
 * @param input whose early payload, sent while the data centre was dialled, goes first
 */
export function relaySession(
  connection: Connection,
  { session, socket, address, dc }: DialledSession,
  input: HandshakeInput,
): void {
  const { thread } = connection
  const { slots } = thread.sockets
  const relay = connection.bind('relaying', socket)
  const index = thread.dcAddressIndex(dc, address)
  connection.holdings.raise(dcSlot('telegram_connections', index))
  const meters = createMeters(connection, index)

  const { fastMode } = connection.config.performance
  const greeting = greetDc(dc, randomBytes, fastMode ? session.downKey : null, thread.ciphers)
  const up = { from: session.up, to: connection.holdings.hold(greeting.up) }
  const open = (key: CtrKey): CtrStream => connection.holdings.hold(thread.ciphers.open(key))
  const down = fastMode ? null : { from: open(greeting.downKey), to: open(session.downKey) }
  socket.write(greeting.wire)
  const early = input.takeEarly()
  if (early.length > 0) sendUp(early, socket, up, slots, meters)

  const { decoder } = input
  const endUp = (): void => {
    if (decoder.end === 'close-notify') relay.endUp()
    else connection.close(`client records: ${decoder.end}`)
  }
  const pacer = createPacer(connection.client, {
    config: connection.config.defense.doppelganger,
    delays: connection.profile.delays,
    timer: thread.paceTimer,
    clock: thread.clock,
    slots,
    random: Math.random,
  })
  relay.start(conveyUp(decoder, up, slots, meters, endUp), conveyDown(down, slots, meters, pacer))
  if (decoder.end !== null) endUp()
}

function createMeters({ thread, tally, userKey }: Connection, dcAddressIndex: number): SessionMeters {
  if (userKey === null) throw new BugError('a session is relayed for nobody')
  return {
    tally,
    account: thread.users.account(userKey.user.slot),
    counters: thread.counters,
    upSlot: dcSlot('telegram_traffic', dcAddressIndex, 'from_client'),
    downSlot: dcSlot('telegram_traffic', dcAddressIndex, 'to_client'),
    clock: thread.clock,
  }
}
