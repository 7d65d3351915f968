import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'

import { buildSntpRequest, COOKIE_BYTES, parseSntpAnswer } from './sntp-packet.ts'

/** Packets get lost: another server of the pool is asked, or the same one again. */
const MAX_ATTEMPTS = 3
/** The pool answers within a tenth of this from anywhere. */
const ATTEMPT_MS = 1500
/** Three attempts, and the name. */
export const SNTP_TIMEOUT_MS: number = MAX_ATTEMPTS * ATTEMPT_MS + 2000

export interface SntpServer {
  readonly host: string
  readonly port: number
}

/** Volunteers' servers all over the world, of which the DNS gives a few near ones. */
export const NTP_POOL: SntpServer = { host: 'pool.ntp.org', port: 123 }

/**
 * How far our clock is from that of a time server (RFC 4330 §5), in milliseconds: positive when ours is slow.
 * @throws Error when nobody answers
 */
export async function measureClockOffset(server: SntpServer, signal: AbortSignal): Promise<number> {
  const addresses = await lookup(server.host, { all: true })
  let failure: unknown
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const entry = addresses[attempt % addresses.length]
    if (entry === undefined) break
    try {
      return await askOnce(entry.address, entry.family === 6, server.port, signal)
    } catch (error) {
      failure = error
    }
    if (signal.aborted) break
  }
  throw failure instanceof Error ? failure : new Error(`${server.host} has no address`)
}

function askOnce(address: string, isIpv6: boolean, port: number, signal: AbortSignal): Promise<number> {
  const socket = createSocket(isIpv6 ? 'udp6' : 'udp4')
  const cookie = randomBytes(COOKIE_BYTES)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)])
  return new Promise<number>((resolve, reject) => {
    let sentAtMs = 0
    limit.addEventListener('abort', () => reject(new Error(`no answer within ${ATTEMPT_MS} ms`)))
    if (limit.aborted) reject(new Error('cancelled'))
    socket.on('error', reject)
    socket.on('message', (packet) => {
      const arrivedAtMs = Date.now()
      const answer = parseSntpAnswer(packet, cookie)
      if (!answer.ok) return reject(new Error(answer.reason))
      resolve((answer.receivedAtMs - sentAtMs + (answer.sentAtMs - arrivedAtMs)) / 2)
    })
    // Connected: packets of others do not come in, and a closed port is an error at once.
    socket.connect(port, address, () => {
      sentAtMs = Date.now()
      socket.send(buildSntpRequest(cookie))
    })
  }).finally(() => socket.close())
}
