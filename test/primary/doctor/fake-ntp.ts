import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { TestContext } from 'node:test'

/** Written from RFC 4330, not from our codec. */
const UNIX_TO_NTP_S = 2_208_988_800n

export interface FakeNtpOptions {
  /** How far the server's clock is ahead of ours. */
  readonly aheadMs?: number
  /** Changes the answer before it is sent; null for no answer at all. */
  readonly spoil?: (answer: Buffer, count: number) => Buffer | null
}

/** A time server on a port of its own; closed when the test ends. */
export async function startFakeNtp(
  t: TestContext,
  options: FakeNtpOptions = {},
): Promise<{ host: string; port: number; readonly requests: readonly Buffer[] }> {
  const requests: Buffer[] = []
  const socket = createSocket('udp4')
  socket.on('message', (request, from) => {
    requests.push(request)
    const answer = Buffer.alloc(48)
    answer[0] = (4 << 3) | 4
    answer[1] = 2
    request.copy(answer, 24, 40, 48)
    const now = Date.now() + (options.aheadMs ?? 0)
    writeTimestamp(answer, 32, now)
    writeTimestamp(answer, 40, now)
    const sent = options.spoil === undefined ? answer : options.spoil(answer, requests.length)
    if (sent !== null) socket.send(sent, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => void socket.close())
  return { host: '127.0.0.1', port: socket.address().port, requests }
}

export function writeTimestamp(packet: Buffer, offset: number, unixMs: number): void {
  const fixed = (BigInt(unixMs) << 32n) / 1000n + (UNIX_TO_NTP_S << 32n)
  packet.writeBigUInt64BE(BigInt.asUintN(64, fixed), offset)
}
