import { HandshakeError, type HandshakeCode } from '#shared/errors'
import { toSource } from '#shared/network'
import { slot } from '#shared/state/layout'
import type { Connection } from './connection.ts'
import type { ClientHello } from './fake-tls/client-hello.ts'
import type { UserKey } from './fake-tls/host-keys.ts'

const REPLAYS = slot('replay_attacks')

/**
 * Whose hello this is: the lists, then the keys, then the replays (decision W4). Nothing is answered meanwhile, so that
 * whoever is none of ours can still be led to the site.
 * @throws HandshakeError with the host that such a peer is fronted to
 */
export async function findUser(connection: Connection, hello: ClientHello): Promise<UserKey> {
  const { thread, peer } = connection
  // Only now, and not before its first byte: until here it is treated like any stranger, and looks as such.
  if (peer.mustFront)
    throw new HandshakeError('ip-list', 'refused by an IP list', thread.hellos.hostOf(hello))
  const from = { userHints: peer.userHints, source: toSource(peer.address) }
  const found = await thread.hellos.findKey(hello, from, () => giveUp(connection))
  connection.enter('hello') // a long search lets the connection be closed meanwhile
  if (!found.ok) throw new HandshakeError(found.code, `cannot read client hello: ${found.code}`, found.host)
  const { userKey } = found
  if (thread.hellos.isReplay(hello.random)) {
    thread.counters.add(REPLAYS, 1)
    thread.warnings.warn('replay attack has been detected!', { 'client-ip': peer.address })
    throw new HandshakeError('replay', 'cannot read client hello: replay', userKey.host)
  }
  return userKey
}

/** Nobody waits for the end of a long search any more. */
function giveUp(connection: Connection): HandshakeCode | null {
  if (connection.stage === 'closed' || connection.client.hasEnded) return 'peer-closed'
  return connection.isOverdue ? 'deadline' : null
}
