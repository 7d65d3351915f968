import { DialError, HandshakeError } from '#shared/errors'
import { slot } from '#shared/state/layout'
import type { Connection } from '../connection.ts'
import { conveyRaw } from '../relay/convey.ts'
import { SiteVisit } from './site-visit.ts'

/** A peer that never said a word gets no more silence than web servers grant. */
const SILENT_IDLE_MS = 60_000

const FRONTED = slot('domain_fronting')
const FAILURES = slot('domain_fronting_failures')
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
  const isNobodyThere = client.socket.destroyed || (client.hasEnded && connection.received.length === 0)
  if (isNobodyThere) return connection.close(cause.code)
  connection.enter('dialing-front')
  connection.handshakePlace.leave() // what is fronted has a limit of its own
  thread.counters.add(FRONTED, 1)
  const visit = visitSite(connection, cause.frontHost)
  if (visit === null) return connection.close('domain fronting: limit')
  connection.holdings.raise(FRONTED_NOW[connection.family])

  try {
    const site = await visit.take()
    const relay = connection.bind('fronting', site)
    const received = connection.takeReceived()
    if (received.length === 0) connection.limitIdle(SILENT_IDLE_MS)
    tally.up += received.length
    thread.counters.add(FROM_CLIENT, received.length)
    visit.say(received)
    const up = conveyRaw(tally, 'up', thread.counters, FROM_CLIENT, thread.clock)
    const down = conveyRaw(tally, 'down', thread.counters, TO_CLIENT, thread.clock)
    const heard = visit.takeHeard()
    if (heard !== null) down(heard, client)
    relay.start(up, down)
  } catch (error) {
    if (!(error instanceof DialError)) throw error
    if (error.code !== 'aborted') {
      thread.counters.add(FAILURES, 1)
      thread.warnings.warn('cannot dial to the fronting domain', { code: error.code, error: error.message })
    }
    connection.close(`cannot dial to the fronting domain: ${error.code}`)
  }
}

/**
 * The hello takes long. Its peer may be ours on a bad line, or a prober who wants to know what becomes of half a hello:
 * only the site can tell him. To be called again and again until the hello is there.
 */
export function frontEarly(connection: Connection): void {
  if (connection.visit !== null) return connection.visit.say(connection.received)
  const visit = visitSite(connection, null)
  const onAnswer = (): void => {
    connection.giveUpHello(new HandshakeError('front-answered', 'the site has answered an incomplete hello'))
  }
  void visit?.listen(onAnswer).then(() => {
    if (connection.isHelloDue) frontEarly(connection) // the site is there: pass on what has come meanwhile
  })
}

/** The visit that this peer is on, or a new one where it leads to another host. Null above the limit. */
function visitSite(connection: Connection, frontHost: string | null): SiteVisit | null {
  const host = connection.config.domainFronting.host ?? frontHost ?? connection.thread.hellos.defaultHost
  if (connection.visit?.host === host) return connection.visit
  connection.endVisit()
  connection.visit = SiteVisit.begin(connection, host)
  return connection.visit
}
