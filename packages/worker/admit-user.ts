import { HandshakeError } from '#shared/errors'
import type { Connection } from './connection.ts'
import type { UserKey } from './fake-tls/host-keys.ts'

/**
 * Take a place in the ledger for a user, until the connection closes.
 * @throws HandshakeError `refused` or `quota`, with what the throttle or the user's `over-limit` says
 */
export function admitUser(connection: Connection, userKey: UserKey): void {
  const { thread, log, peer, config } = connection
  const { users, clock } = thread
  const { slot, generation, name, overLimit = 'close' } = userKey.user
  log.setUser(name)
  const verdict = users.admit(slot, generation)
  if (verdict !== 'admitted') {
    const [code, action] =
      verdict === 'quota' ? (['quota', overLimit] as const) : (['refused', config.throttle.action] as const)
    throw new HandshakeError(code, `${name} is refused: ${verdict}`, userKey.host, action)
  }
  connection.holdings.borrow(() => users.leave(slot))
  connection.authenticate(userKey)
  users.account(slot).lastSeenMs = clock.unixMs
  thread.arrivals.reportUser(peer, slot)
}
