import { ProxyHeaderError, type ProxyHeaderCode } from '#shared/errors'
import { slot } from '#shared/state/layout'
import type { Connection } from './connection.ts'
import type { HandshakeInput } from './handshake-input.ts'
import type { ProxyHeader } from './proxy-protocol.ts'
import type { Thread } from './thread.ts'

/** A balancer sends its header with its first packet; this is for one packet lost on the way, twice. */
export const PROXY_HEADER_TIMEOUT_MS = 5000

type Outcome = 'v1' | 'v2' | 'local' | ProxyHeaderCode
const OUTCOMES: Readonly<Record<Outcome, number>> = {
  v1: slot('proxy_protocol', { outcome: 'v1' }),
  v2: slot('proxy_protocol', { outcome: 'v2' }),
  local: slot('proxy_protocol', { outcome: 'local' }),
  untrusted: slot('proxy_protocol', { outcome: 'untrusted' }),
  absent: slot('proxy_protocol', { outcome: 'absent' }),
  malformed: slot('proxy_protocol', { outcome: 'malformed' }),
  deadline: slot('proxy_protocol', { outcome: 'deadline' }),
  'peer-closed': slot('proxy_protocol', { outcome: 'peer-closed' }),
}

/**
 * Behind a balancer: read who the client is, and ask the IP lists about it, before anything else is decided (decisions
 * W4, W12). Nobody else waits for a peer that sends no header.
 *
 * Without a sound header from a trusted network the connection is closed, not fronted: no balancer sends garbage, so
 * this is somebody who got around it, and web servers that expect the header close in the same way.
 * @throws ProxyHeaderError, and DialError `aborted` when the connection is closed
 */
export async function learnClient(connection: Connection, input: HandshakeInput): Promise<void> {
  const { thread, peer } = connection
  connection.enter('proxy-header')
  // A reload is on its way, and comes to the primary and to each thread in its own time: the networks that are trusted
  // here belong to another configuration.
  if (!connection.config.proxyProtocolListener)
    throw new ProxyHeaderError('untrusted', 'whether PROXY headers are expected is being changed')
  if (!thread.trustedProxies.has(peer.address))
    throw new ProxyHeaderError('untrusted', `${peer.address} is not in proxy-protocol-trusted`)
  const { version, source } = await input.readProxyHeader()
  countProxyHeader(thread, describe(version, source))
  // Without a source it is the balancer itself: a health check.
  const { host: address, port } = source ?? { host: peer.address, port: peer.port }
  const refusal = thread.ipFilter.refuse(address, thread.counters, thread.log)
  const userHints = thread.arrivals.hints.find(address)
  const mustFront = refusal === 'front'
  connection.setPeer({ address, port, userHints, hintedBy: 'thread', mustFront, isProxied: false })
  if (refusal === 'close') connection.close('refused by an IP list')
  const limit = connection.handshakePlace.setSource(address, connection.config.defense)
  if (limit !== null) connection.close(`handshake limit: ${limit}`)
  connection.enter('hello')
}

/** What a connection began with that has to begin with a PROXY header. */
export function countProxyHeader(thread: Thread, outcome: Outcome): void {
  thread.counters.add(OUTCOMES[outcome], 1)
}

function describe(version: 1 | 2, source: ProxyHeader['source']): Outcome {
  if (source === null) return 'local'
  return version === 1 ? 'v1' : 'v2'
}
