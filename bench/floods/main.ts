/**
 * Do floods reach those who are served? `node bench/floods/main.ts [--rounds 3] [--nice=-10] [--json] [--quick] [FLOOD …]`, of
 * the names below, or all. In turns a window without and a window with the flood; figures are medians of the windows. Fails
 * when memory exceeds its bound. A negative niceness (root) puts proxy, data centre and the users' clients before the
 * attackers, which in the world have processors of their own.
 */
import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findFreePort } from '../../test/support/free-port.ts'
import { fetchText, sumMetric } from '../../test/support/process-state.ts'
import { Child } from '../support/child.ts'
import { requireWhole } from '../support/amounts.ts'
import { IS_QUICK } from '../support/micro.ts'
import { readRssKib } from '../support/process-usage.ts'
import { runProgram } from '../support/program.ts'
import { startProxy } from '../support/proxy-process.ts'
import { median, quantile } from '../support/statistics.ts'
import { Echoes, type Sample } from './echoes.ts'
import { readWorkerThreads } from './worker-threads.ts'

const DC_SCRIPT = new URL('../../test/support/stream-dc.ts', import.meta.url)
const ATTACKER_SCRIPT = new URL('./attacker.ts', import.meta.url)
const IS_JSON = process.argv.includes('--json')
const HOST = 'example.com'
const ESTABLISHED = IS_QUICK ? 4 : 40
/** A smaller crowd shows as well that the bench works. */
const SCALE = IS_QUICK ? 25 : 1
const CALM_MS = IS_QUICK ? 200 : 2000
const FLOOD_MS = IS_QUICK ? 400 : 4000
const SETTLE_MS = IS_QUICK ? 100 : 1000
/** docs/limits.md: what one connection may cost that has not proved anything, both sockets and their kernel side not included. */
const BYTES_PER_STRANGER = 32 * 1024
/** Code that is compiled and heaps that grow once, whatever comes. */
const BYTES_ONCE = 112 * 1024 * 1024

interface Flood {
  /** As attacker.ts calls it. */
  readonly kind: string
  readonly keys: number
  /** The most connections that it holds at once. */
  readonly connections: number
  readonly isLimited: boolean
}

const FLOODS: Readonly<Record<string, Flood>> = {
  silent: { kind: 'silent', keys: 1, connections: 5000 / SCALE, isLimited: true },
  'silent-unlimited': { kind: 'silent', keys: 1, connections: 5000 / SCALE, isLimited: false },
  drip: { kind: 'drip', keys: 1, connections: 5000 / SCALE, isLimited: true },
  'drip-unlimited': { kind: 'drip', keys: 1, connections: 5000 / SCALE, isLimited: false },
  'hellos-1': { kind: 'hellos', keys: 1, connections: 400 / SCALE, isLimited: true },
  'hellos-1000': { kind: 'hellos', keys: 1000, connections: 400 / SCALE, isLimited: true },
  'hellos-10000': { kind: 'hellos', keys: 10_000, connections: 400 / SCALE, isLimited: true },
}

interface Figures {
  readonly name: string
  readonly calm: Seen
  readonly flood: Seen
  /** Its last report. */
  readonly attacker: unknown
  readonly limited: number
  readonly busy: number
  readonly rssMib: { readonly before: number; readonly most: number }
  readonly boundMib: number
}

interface Seen {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Of each window. */
  readonly p99s: readonly number[]
  readonly newcomerP50Ms: number
  readonly served: number
  readonly lost: number
  /** Of one core, what the threads that relay ran, and what they were ready to run and did not. */
  readonly ran: number
  readonly waited: number
}

/** Of one window. */
interface Window extends Sample {
  readonly ran: number
  readonly waited: number
}

async function watch(pid: number, echoes: Echoes, durationMs: number): Promise<Window> {
  const [startedMs, before] = [performance.now(), readWorkerThreads(pid)]
  const sample = await echoes.measure(durationMs)
  const [tookMs, after] = [performance.now() - startedMs, readWorkerThreads(pid)]
  return {
    ...sample,
    ran: (after.ranMs - before.ranMs) / tookMs,
    waited: (after.waitedMs - before.waitedMs) / tookMs,
  }
}

/** Medians of the windows. */
function summarize(samples: readonly Window[]): Seen {
  const shares = (share: number): number[] => samples.map(({ roundTripsMs }) => quantile(roundTripsMs, share))
  const arrivals = samples.flatMap(({ arrivalsMs }) => arrivalsMs)
  return {
    p50Ms: median(shares(0.5)),
    p99Ms: median(shares(0.99)),
    maxMs: median(shares(1)),
    p99s: shares(0.99),
    newcomerP50Ms: median(arrivals),
    served: arrivals.length,
    lost: samples.reduce((sum, sample) => sum + sample.lost, 0),
    ran: median(samples.map(({ ran }) => ran)),
    waited: median(samples.map(({ waited }) => waited)),
  }
}

function describe(name: string, seen: Seen): string {
  const p99s = seen.p99s.map((ms) => ms.toFixed(1)).join(' ')
  return (
    `  ${name}: echo p50 ${seen.p50Ms.toFixed(1)}, p99 ${seen.p99Ms.toFixed(1)} (${p99s}), max ${seen.maxMs.toFixed(1)} ms; ` +
    `new clients p50 ${seen.newcomerP50Ms.toFixed(0)} ms, ${seen.served} served, ${seen.lost} not; ` +
    `threads ran ${(seen.ran * 100).toFixed(0)} %, waited ${(seen.waited * 100).toFixed(0)} % of a core`
  )
}

/** Linux shares processors out among sessions first, if so configured, and niceness counts within one. */
function raiseSession(pid: number | 'self', niceness: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, `${niceness}`)
  } catch {
    // It does not, and niceness is enough.
  }
}

async function run(
  name: string,
  { kind, keys, connections, isLimited }: Flood,
  { rounds, niceness }: { rounds: number; niceness: number },
): Promise<Figures> {
  await using stack = new AsyncDisposableStack()
  setPriority(0)
  const attacker = new Child('the attacker', ATTACKER_SCRIPT, [HOST], { isApart: true })
  stack.defer(() => attacker.stop())
  const sitePort = Number((await attacker.next())['sitePort'])
  setPriority(niceness) // whoever is started from here on has it too
  const dc = new Child('the data centre', DC_SCRIPT, ['--mode', 'echo'])
  stack.defer(() => dc.stop())
  const dcPort = Number((await dc.next())['port'])
  const metricsPort = await findFreePort()
  const proxy = await startProxy({
    dcPort,
    sitePort,
    // It delays what comes behind a pause, by tens of milliseconds and on purpose: here that would hide what floods do.
    pacing: 'off',
    users: keys,
    metricsPort,
    ...(isLimited ? {} : { maxHandshakes: 0, maxHandshakesPerAddress: 0 }),
  })
  stack.defer(() => proxy.stop())
  for (const pid of [proxy.pid, 'self'] as const) raiseSession(pid, niceness)
  attacker.send(`port ${proxy.port}`)
  const echoes = await Echoes.open(proxy, ESTABLISHED)
  stack.defer(() => echoes.close())
  await echoes.measure(CALM_MS)

  const calm: Window[] = []
  const flooded: Window[] = []
  const reports: Record<string, unknown>[] = []
  const rssBefore = readRssKib([proxy.pid])
  let rssMost = 0
  const poll = setInterval(() => (rssMost = Math.max(rssMost, readRssKib([proxy.pid]))), 250)
  stack.defer(() => clearInterval(poll))
  for (let round = 0; round < rounds; round++) {
    calm.push(await watch(proxy.pid, echoes, CALM_MS))
    attacker.send(`${kind} ${connections}`)
    flooded.push(await watch(proxy.pid, echoes, FLOOD_MS))
    attacker.send('stop')
    reports.push(await attacker.next())
    await sleep(SETTLE_MS)
  }
  const metrics = await fetchText(metricsPort, '/')
  const bound = BYTES_ONCE + connections * BYTES_PER_STRANGER
  const figures = {
    name,
    calm: summarize(calm),
    flood: summarize(flooded),
    attacker: reports.at(-1) ?? {},
    limited: sumMetric(metrics, 'mtg_handshakes_limited'),
    busy: sumMetric(metrics, 'mtg_handshakes', 'outcome="busy"'),
    rssMib: { before: Math.round(rssBefore / 1024), most: Math.round(rssMost / 1024) },
    boundMib: Math.round(bound / 2 ** 20),
  }
  const grown = (rssMost - rssBefore) * 1024
  if (grown > bound) throw new Error(`${name}: memory grew by ${grown} bytes, the bound is ${bound}`)
  if (!IS_JSON) print(figures)
  return figures
}

function print({ name, calm, flood, attacker, limited, busy, rssMib, boundMib }: Figures): void {
  console.log(`${name}:`)
  console.log(describe('calm', calm))
  console.log(describe('flood', flood))
  console.log(
    `  ${JSON.stringify(attacker)}, limited ${limited}, busy ${busy}; ` +
      `RSS ${rssMib.before} MiB, at most ${rssMib.most}, bound +${boundMib}`,
  )
}

await runProgram(async () => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: IS_QUICK ? '1' : '3' },
      nice: { type: 'string', default: '0' },
      json: { type: 'boolean' },
      quick: { type: 'boolean' },
    },
  })
  const [rounds, niceness] = [Number(values.rounds), Number(values.nice)]
  requireWhole({ rounds })
  const names = positionals.length > 0 ? positionals : Object.keys(FLOODS)
  const unknown = names.find((name) => FLOODS[name] === undefined)
  if (unknown !== undefined)
    throw new Error(`no such flood: ${unknown}, there are ${Object.keys(FLOODS).join(', ')}`)
  const figures: Figures[] = []
  for (const name of names) figures.push(await run(name, FLOODS[name]!, { rounds, niceness })) // known, see above
  if (IS_JSON) console.log(JSON.stringify({ bench: 'floods', figures }))
  return 0
})
