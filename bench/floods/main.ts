/**
 * Do floods reach those who are served? `node bench/floods/main.ts [--rounds 3] [FLOOD …]`, of the names below, or all. In turns a
 * window without and a window with the flood; figures are medians of the windows. Fails when memory exceeds its bound.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findFreePort } from '../../test/support/free-port.ts'
import { fetchText, sumMetric } from '../../test/support/process-state.ts'
import { Child } from '../support/child.ts'
import { readRssKib } from '../support/process-usage.ts'
import { startProxy } from '../support/proxy-process.ts'
import { Echoes, type Sample } from './echoes.ts'

const DC_SCRIPT = new URL('../../test/support/stream-dc.ts', import.meta.url)
const ATTACKER_SCRIPT = new URL('./attacker.ts', import.meta.url)
const HOST = 'example.com'
const ESTABLISHED = 40
const CALM_MS = 2000
const FLOOD_MS = 4000
const SETTLE_MS = 1000
/** docs/limits.md: what one connection may cost that has not proved anything, both sockets and their kernel side not included. */
const BYTES_PER_STRANGER = 48 * 1024
/** Code that is compiled and heaps that grow once, whatever comes. */
const BYTES_ONCE = 160 * 1024 * 1024

interface Flood {
  readonly order: string
  readonly keys: number
  /** The most connections that it holds at once. */
  readonly connections: number
  readonly isLimited: boolean
}

const FLOODS: Readonly<Record<string, Flood>> = {
  silent: { order: 'silent 5000', keys: 1, connections: 5000, isLimited: true },
  'silent-unlimited': { order: 'silent 5000', keys: 1, connections: 5000, isLimited: false },
  drip: { order: 'drip 5000', keys: 1, connections: 5000, isLimited: true },
  'drip-unlimited': { order: 'drip 5000', keys: 1, connections: 5000, isLimited: false },
  'hellos-1': { order: 'hellos 400', keys: 1, connections: 400, isLimited: true },
  'hellos-1000': { order: 'hellos 400', keys: 1000, connections: 400, isLimited: true },
  'hellos-10000': { order: 'hellos 400', keys: 10_000, connections: 400, isLimited: true },
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? Number.NaN
const median = (values: readonly number[]): number => quantile(values, 0.5)

function describe(name: string, samples: readonly Sample[]): string {
  const trips = (share: number): string =>
    median(samples.map(({ roundTripsMs }) => quantile(roundTripsMs, share))).toFixed(1)
  const p99s = samples.map(({ roundTripsMs }) => quantile(roundTripsMs, 0.99).toFixed(1)).join(' ')
  const arrivals = samples.flatMap(({ arrivalsMs }) => arrivalsMs)
  const lost = samples.reduce((sum, sample) => sum + sample.lost, 0)
  return (
    `  ${name}: echo p50 ${trips(0.5)}, p99 ${trips(0.99)} (${p99s}), max ${trips(1)} ms; ` +
    `new clients p50 ${median(arrivals).toFixed(0)} ms, ${arrivals.length} served, ${lost} not`
  )
}

async function run(
  name: string,
  { order, keys, connections, isLimited }: Flood,
  rounds: number,
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const dc = new Child('the data centre', DC_SCRIPT, ['--mode', 'echo'])
  stack.defer(() => dc.stop())
  const dcPort = Number((await dc.next())['port'])
  const attacker = new Child('the attacker', ATTACKER_SCRIPT, [HOST])
  stack.defer(() => attacker.stop())
  const metricsPort = await findFreePort()
  const proxy = await startProxy({
    dcPort,
    sitePort: Number((await attacker.next())['sitePort']),
    users: keys,
    metricsPort,
    ...(isLimited ? {} : { maxHandshakes: 0, maxHandshakesPerAddress: 0 }),
  })
  stack.defer(() => proxy.stop())
  attacker.send(`port ${proxy.port}`)
  const echoes = await Echoes.open(proxy, ESTABLISHED)
  stack.defer(() => echoes.close())
  await echoes.measure(CALM_MS)

  const calm: Sample[] = []
  const flooded: Sample[] = []
  const reports: Record<string, unknown>[] = []
  const rssBefore = readRssKib([proxy.pid])
  let rssMost = 0
  const watch = setInterval(() => (rssMost = Math.max(rssMost, readRssKib([proxy.pid]))), 250)
  stack.defer(() => clearInterval(watch))
  for (let round = 0; round < rounds; round++) {
    calm.push(await echoes.measure(CALM_MS))
    attacker.send(order)
    flooded.push(await echoes.measure(FLOOD_MS))
    attacker.send('stop')
    reports.push(await attacker.next())
    await sleep(SETTLE_MS)
  }
  const metrics = await fetchText(metricsPort, '/')
  const busy = sumMetric(metrics, 'mtg_handshakes', 'outcome="busy"')
  const grown = (rssMost - rssBefore) * 1024
  const bound = BYTES_ONCE + connections * BYTES_PER_STRANGER
  console.log(`${name}:`)
  console.log(describe('calm', calm))
  console.log(describe('flood', flooded))
  console.log(
    `  ${JSON.stringify(reports.at(-1))}, limited ${sumMetric(metrics, 'mtg_handshakes_limited')}, busy ${busy}; ` +
      `RSS ${Math.round(rssBefore / 1024)} MiB, at most ${Math.round(rssMost / 1024)}, bound +${Math.round(bound / 2 ** 20)}`,
  )
  if (grown > bound) throw new Error(`${name}: memory grew by ${grown} bytes, the bound is ${bound}`)
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '3' } },
})
for (const name of positionals.length > 0 ? positionals : Object.keys(FLOODS)) {
  const flood = FLOODS[name]
  if (flood === undefined)
    throw new Error(`no such flood: ${name}, there are ${Object.keys(FLOODS).join(', ')}`)
  await run(name, flood, Number(values.rounds))
}
