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
 * Piscina task: see how a fronting host answers both kinds of ClientHello, by real TLS handshakes (decision W5).
 * Several of each, because signatures differ in length.
 */
export default async function probeFront(task: FrontProbeTask): Promise<FrontProbeResult> {
  try {
    const hybrid = await probeHello(task, true)
    return { ok: true, flights: { hybrid, classic: await probeHello(task, false) } }
  } catch (error) {
    return { ok: false, reason: (error as Error).message } // `probeHello` throws nothing else
  }
}

/** @throws Error with the reason */
async function probeHello(task: FrontProbeTask, isHybrid: boolean): Promise<FrontFlight> {
  const encryptedBytes: number[] = []
  for (;;) {
    const signal = AbortSignal.timeout(task.timeoutMs)
    const isLast = encryptedBytes.length + 1 >= task.repeats
    try {
      const seen = await handshake(task, isHybrid, isLast, signal)
      encryptedBytes.push(seen.recordBytes.reduce((sum, bytes) => sum + RECORD_HEADER_BYTES + bytes, 0))
      if (isLast) return { ...seen, encryptedBytes }
    } catch (cause) {
      throw new Error(describeFailure(cause, signal, task.timeoutMs), { cause })
    }
  }
}

async function handshake(
  { serverName, addresses, route, proxyProtocol, timeoutMs }: FrontProbeTask,
  isHybrid: boolean,
  awaitsTickets: boolean,
  signal: AbortSignal,
): Promise<Omit<FrontFlight, 'encryptedBytes'>> {
  const { tls, tap, tickets } = await openTapped({
    serverName,
    addresses,
    route,
    protocols: ['h2', 'http/1.1'],
    isHybrid,
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
