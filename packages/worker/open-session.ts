import { HandshakeError } from '#shared/errors'
import type { Connection } from './connection.ts'
import { countHandshake } from './count-handshake.ts'
import type { UserKey } from './fake-tls/host-keys.ts'
import type { HandshakeInput } from './handshake-input.ts'
import { acceptClientFrame, type ClientSession } from './obfuscated2/handshake.ts'

/**
 * Read the frame that follows the hello: the client's ciphers and the data centre it wants.
 * @throws HandshakeError
 */
export async function openSession(
  connection: Connection,
  input: HandshakeInput,
  userKey: UserKey,
): Promise<ClientSession> {
  connection.enter('frame')
  const accepted = acceptClientFrame(await input.readFrame(), userKey.key, connection.thread.ciphers)
  if (!accepted.ok)
    throw new HandshakeError(accepted.code, 'not the frame of a padded intermediate transport')
  connection.holdings.hold(accepted.session.up)
  connection.handshakePlace.leave()
  countHandshake(connection.thread.counters, 'ok')
  return accepted.session
}
