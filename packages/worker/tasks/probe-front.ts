import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FrontProbeResult, FrontProbeTask } from '#shared/front-probe'
import type { FrontFlight } from '#shared/traffic-profile'
import { RECORD_HEADER_BYTES } from '../fake-tls/record.ts'
import { describeFailure, openTapped } from './open-tapped.ts'
import { listFlightRecords } from './record-tap.ts'
import { parseServerHello } from './server-hello-facts.ts'

/** A PROXY header that says "the proxy itself, for a health check" (LOCAL), for servers which insist on one. */
const PROXY_V2_LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')
/** Tickets follow the client's last handshake message: a round trip, with much to spare. */
const TICKET_WAIT_MS = 500

/**
 * Piscina task: see how a fronting host answers a ClientHello, by real TLS handshakes (decision W5). Several, because
 * signatures differ in length.
 */
export default async function probeFront(task: FrontProbeTask): Promise<FrontProbeResult> {
  const encryptedBytes: number[] = []
  let last: Omit<FrontFlight, 'encryptedBytes'> | null = null
  for (let i = 0; i < task.repeats; i++) {
    const signal = AbortSignal.timeout(task.timeoutMs)
    try {
      last = await handshake(task, i === task.repeats - 1, signal)
      encryptedBytes.push(last.recordBytes.reduce((sum, bytes) => sum + RECORD_HEADER_BYTES + bytes, 0))
    } catch (error) {
      return { ok: false, reason: describeFailure(error, signal, task.timeoutMs) }
    }
  }
  return last === null
    ? { ok: false, reason: 'no handshake was asked for' }
    : { ok: true, flight: { ...last, encryptedBytes } }
}

async function handshake(
  { serverName, addresses, proxyProtocol, timeoutMs }: FrontProbeTask,
  awaitsTickets: boolean,
  signal: AbortSignal,
): Promise<Omit<FrontFlight, 'encryptedBytes'>> {
  const { tls, tap, tickets } = await openTapped({
    serverName,
    addresses,
    protocols: ['h2', 'http/1.1'],
    ...(proxyProtocol ? { preamble: PROXY_V2_LOCAL } : {}),
    timeoutMs,
    signal,
  })
  try {
    const hello = parseServerHello(tap.clearHandshake)
    if (hello === null) throw new Error(`the site speaks ${tls.getProtocol()}, clients of ours see TLSv1.3`)
    const recordBytes = listFlightRecords(tap.records)
    if (recordBytes.length === 0) throw new Error('the handshake had no encrypted records')
    if (awaitsTickets) await Promise.race([sleep(TICKET_WAIT_MS), once(tls, 'close')])
    return { ...hello, recordBytes, tickets: tickets() }
  } finally {
    tls.destroySoon()
    tls.once('close', () => tap.destroy())
    tls.resume()
  }
}
