/**
 * A program for a network namespace of its own: a proxy, and data centres whose preferred addresses are IPv6 and lead
 * nowhere. Prints the outcome as JSON.
 *
 *   DC 2   packets leave, nothing ever comes back, as behind a provider that announces IPv6 and does not carry it
 *   DC 4   the kernel itself refuses (a `blackhole` route)
 */
import { readFileSync } from 'node:fs'
import { connectFakeTls, type FakeTlsClient } from '../../support/faketls-client.ts'
import { startTestProxy } from '../../support/proxy.ts'
import { startStreamDc } from '../../support/stream-dc.ts'
import { makeSecret, readMetric } from '../../end-to-end/world.ts'

const SILENT = '2001:db8:3::1'
const REFUSED = '2001:db8:1::1'
const THREADS = 3
/** Connections go to the least loaded thread: those that are held are spread evenly. */
const PER_THREAD = 2

export interface BlackHoleReport {
  /** Of the dials of each data centre, in the order of the clients. */
  readonly silentSeconds: number[]
  readonly refusedSeconds: number[]
  /** Dials that still wait for an answer when all clients are served. */
  readonly stillDialling: number
}

const dc = await startStreamDc({ mode: 'echo' })
const alive = { host: '127.0.0.1', port: dc.port }
const proxy = await startTestProxy({
  users: { alice: makeSecret(1) },
  dcs: { 2: [{ host: SILENT, port: 443 }, alive], 4: [{ host: REFUSED, port: 443 }, alive] },
  workers: THREADS,
  config: { preferIp: 'prefer-ipv6' },
})

async function measure(dcId: number): Promise<number[]> {
  const held: FakeTlsClient[] = []
  const seconds: number[] = []
  let before = await sumOfDials()
  for (let n = 0; n < THREADS * PER_THREAD; n++) {
    const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: dcId })
    client.write(Buffer.from('through'))
    if (String(await client.read(7)) !== 'through') throw new Error('not what was sent')
    held.push(client)
    const now = await sumOfDials()
    seconds.push(now - before)
    before = now
  }
  for (const client of held) client.destroy()
  return seconds
}

async function sumOfDials(): Promise<number> {
  return readMetric(await proxy.metrics(), 'mtg_dc_dial_seconds_sum', { outcome: 'ok' })
}

function countDialling(): number {
  const SYN_SENT = '02'
  const lines = readFileSync('/proc/net/tcp6', 'latin1').split('\n')
  return lines.filter((line) => line.trim().split(/\s+/)[3] === SYN_SENT).length
}

const silentSeconds = await measure(2)
const stillDialling = countDialling()
const report: BlackHoleReport = { silentSeconds, refusedSeconds: await measure(4), stillDialling }
process.stdout.write(`${JSON.stringify(report)}\n`)
await proxy.stop()
await dc.close()
process.exit(0)
