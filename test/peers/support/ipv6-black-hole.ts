/**
 * A program for a network namespace of its own: a proxy, and data centres whose preferred addresses are IPv6 and lead
 * nowhere. Prints the outcome as JSON.
 *
 *   DC 2   packets leave, nothing ever comes back, as behind a provider that announces IPv6 and does not carry it
 *   DC 4   the kernel itself refuses (a `blackhole` route)
 */
import { connectFakeTls, type FakeTlsClient } from '../../support/faketls-client.ts'
import { startTestProxy, type TestProxy } from '../../support/proxy.ts'
import { startStreamDc } from '../../support/stream-dc.ts'
import { countDialing, listDialing } from '../../end-to-end/black-hole.ts'
import { makeSecret, readMetric } from '../../end-to-end/world.ts'

const SILENT = '2001:db8:3::1'
const REFUSED = '2001:db8:1::1'
const THREADS = 3
/** Connections go to the least loaded thread: those that are held are spread evenly. */
const PER_THREAD = 2

export interface BlackHoleReport {
  readonly silent: Dials
  /** Of the first dial, by several proxies: a machine that is busy with other things is not so each time. */
  readonly refusedSeconds: number[]
  /** Dials that still wait for an answer when all clients are served. */
  readonly stillDialling: number
}

interface Dials {
  /** In the order of the clients. */
  readonly seconds: number[]
  /** How many stood on their way, waiting for a first answer. */
  readonly waited: number
}

const dc = await startStreamDc({ mode: 'echo' })
const alive = { host: '127.0.0.1', port: dc.port }
const start = (workers: number): Promise<TestProxy> =>
  startTestProxy({
    users: { alice: makeSecret(1) },
    dcs: { 2: [{ host: SILENT, port: 443 }, alive], 4: [{ host: REFUSED, port: 443 }, alive] },
    workers,
    config: { preferIp: 'prefer-ipv6' },
  })

/** Of so many clients, one after the other. */
async function measure(proxy: TestProxy, dcId: number, clients: number): Promise<Dials> {
  const dials = new Set<string>()
  // A stagger is twelve looks long. How long a dial took would say less: a busy machine adds to it.
  const watch = setInterval(() => listDialing(443).forEach((dial) => dials.add(dial)), 20)
  const held: FakeTlsClient[] = []
  const seconds: number[] = []
  let before = await sumOfDials(proxy)
  for (let n = 0; n < clients; n++) {
    const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: dcId })
    client.write(Buffer.from('through'))
    if (String(await client.read(7)) !== 'through') throw new Error('not what was sent')
    held.push(client)
    const now = await sumOfDials(proxy)
    seconds.push(now - before)
    before = now
  }
  clearInterval(watch)
  for (const client of held) client.destroy()
  return { seconds, waited: dials.size }
}

async function sumOfDials(proxy: TestProxy): Promise<number> {
  return readMetric(await proxy.metrics(), 'mtg_dc_dial_seconds_sum', { outcome: 'ok' })
}

const proxy = await start(THREADS)
const silent = await measure(proxy, 2, THREADS * PER_THREAD)
const stillDialling = countDialing(443)
await proxy.stop()
const refusedSeconds: number[] = []
for (let n = 0; n < 3; n++) {
  const another = await start(1)
  const { seconds } = await measure(another, 4, 1)
  refusedSeconds.push(...seconds)
  await another.stop()
}
const report: BlackHoleReport = { silent, refusedSeconds, stillDialling }
process.stdout.write(`${JSON.stringify(report)}\n`)
await dc.close()
process.exit(0)
