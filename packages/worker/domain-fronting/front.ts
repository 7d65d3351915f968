import { DialError, type HandshakeError } from '#shared/errors'
import { slot } from '#shared/state/layout'
import type { Connection } from '../connection.ts'
import { conveyRaw } from '../relay/convey.ts'
import { buildProxyHeader } from '../proxy-protocol.ts'
import { dialFront } from './dial-front.ts'

/** A peer that never said a word gets no more silence than web servers grant. */
const SILENT_IDLE_MS = 60_000

const FRONTED = slot('domain_fronting')
const FRONTED_NOW = {
  ipv4: slot('domain_fronting_connections', { ip_family: 'ipv4' }),
  ipv6: slot('domain_fronting_connections', { ip_family: 'ipv6' }),
} as const
const FROM_CLIENT = slot('domain_fronting_traffic', { direction: 'from_client' })
const TO_CLIENT = slot('domain_fronting_traffic', { direction: 'to_client' })

/**
 * To anyone without a secret we are the fronting site: every byte that came goes there, in order, and what it answers
 * comes back as it is (wire.md §7). Closes the connection when the site cannot be reached.
 */
export async function front(connection: Connection, cause: HandshakeError): Promise<void> {
  const { thread, client, tally } = connection
  const isNobodyThere = client.socket.destroyed || (client.hasEnded && !connection.hasReceived)
  if (isNobodyThere) return connection.close(cause.code)
  connection.enter('dialing-front')
  thread.counters.add(FRONTED, 1)
  if (!thread.admitFronting()) return connection.close('domain fronting: limit')
  connection.borrow(() => thread.leaveFronting())
  connection.raise(FRONTED_NOW[connection.family])

  const { host, port, proxyProtocol } = connection.config.domainFronting
  try {
    const { connection: site, address } = await dialFront(
      host ?? cause.frontHost ?? thread.hellos.defaultHost,
      port,
      thread.dialers.front,
      connection.dialSignal(),
    )
    const relay = connection.bind('fronting', site)
    const received = connection.takeReceived()
    if (received.length === 0) connection.limitIdle(SILENT_IDLE_MS)
    tally.up += received.length
    thread.counters.add(FROM_CLIENT, received.length)
    // At once, also for a client that is silent: the site then waits for a hello as long as it does for any visitor,
    // and not for a header as short as it may. The header is nobody's traffic.
    const { address: clientHost, port: clientPort } = connection.peer
    const opening = proxyProtocol
      ? Buffer.concat([buildProxyHeader({ host: clientHost, port: clientPort }, address), received])
      : received
    if (opening.length > 0) site.write(opening)
    relay.start(
      conveyRaw(tally, 'up', thread.counters, FROM_CLIENT, thread.clock),
      conveyRaw(tally, 'down', thread.counters, TO_CLIENT, thread.clock),
    )
  } catch (error) {
    if (!(error instanceof DialError)) throw error
    if (error.code !== 'aborted') {
      thread.warnings.warn('cannot dial to the fronting domain', { error: error.message })
    }
    connection.close(`cannot dial to the fronting domain: ${error.code}`)
  }
}
