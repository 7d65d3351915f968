import { HandshakeError } from '#shared/errors'
import type { Connection } from './connection.ts'
import type { UserKey } from './fake-tls/host-keys.ts'

/**
 * Take a place in the ledger for a user, until the connection closes.
 * @throws HandshakeError `refused`
 */
export function admitUser(connection: Connection, userKey: UserKey): void {
  const { thread, log, peer } = connection
  const { users, clock } = thread
  const { slot, generation, name } = userKey.user
  log.setUser(name)
  const verdict = users.admit(slot, generation)
  if (verdict !== 'admitted')
    throw new HandshakeError('refused', `${name} is refused: ${verdict}`, userKey.host)
  connection.borrow(() => users.leave(slot))
  connection.authenticate(userKey)
  users.account(slot).lastSeenMs = clock.unixMs
  thread.arrivals.reportUser(peer, slot)
}
