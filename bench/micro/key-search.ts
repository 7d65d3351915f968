/**
 * What does it cost to find out who signed a ClientHello, among so many keys of one host? Whole searches of a key ring, by
 * WebAssembly and key by key, and how long one holds the thread at a time (processor time). Run: node bench/micro/key-search.ts [--json] [--quick]
 */
import { randomBytes } from 'node:crypto'
import koffi from 'koffi'
import type { UserEntry } from '#shared/worker-control'
import { parseClientHello, type ClientHello } from '#worker/fake-tls/client-hello'
import { KeyRing, type SearchPeer } from '#worker/fake-tls/key-ring'
import { SearchQueue } from '#worker/fake-tls/search-queue'
import { keyByKey } from '#worker/key-search/key-by-key'
import type { KeySearch } from '#worker/key-search/key-search'
import { chooseKeySearch } from '#worker/key-search/self-test'
import { buildClientHello } from '../../test/support/client-hello.ts'
import { type Case, IS_QUICK, measureCases } from '../support/micro.ts'

const HOST = 'example.com'
/** As TDLib sends them, with a hybrid key share, and as long as a hello may be. */
const HELLO_BYTES = [517, 1800, 16_384] as const
const RING_KEYS = IS_QUICK ? ([100] as const) : ([1, 100, 1_000, 10_000] as const)
const STRANGER: SearchPeer = { userHints: [], source: '192.0.2.1' }
const CLOCK = { nowMs: Date.now(), toleranceMs: 3_600_000, notBeforeSeconds: null }
const CALLS = 100
/** Full searches of which the slices are taken, the ones before the code is compiled among them. */
const WATCHED_SEARCHES = IS_QUICK ? 1 : 20

function signHello(key: Uint8Array, size: number): ClientHello {
  const parsed = parseClientHello(buildClientHello({ key, host: HOST, size }).bytes)
  if (!parsed.ok) throw new Error(parsed.code)
  return parsed.hello
}

const createUsers = (count: number): UserEntry[] =>
  Array.from({ length: count }, (_, slot) => ({
    name: `user-${slot}`,
    slot,
    generation: 1,
    secrets: [{ key: randomBytes(16), host: HOST }],
  }))

const keyOf = (users: readonly UserEntry[], at: number): Uint8Array =>
  users[at]?.secrets[0]?.key ?? Buffer.alloc(16)

/** Nothing is learnt: rings whose users have not been seen, where that matters. */
function ringCases(name: string, search: KeySearch, keys: number, size: number): Case[] {
  const users = createUsers(keys)
  const queue = new SearchQueue()
  const ring = new KeyRing(users, { queue, search })
  const last = keys - 1
  const middle = signHello(keyOf(users, keys >> 1), size)
  // Signed, and of a time that nobody accepts: found, but not remembered.
  const middleClock = { ...CLOCK, nowMs: 0 }
  const [known, stranger] = [signHello(keyOf(users, last), size), signHello(randomBytes(16), size)]
  const perBatch = Math.max(1, Math.min(CALLS, Math.floor(1000 / keys)))
  const build = (
    what: string,
    calls: number,
    hello: ClientHello,
    peer: SearchPeer,
    clock = CLOCK,
    expected = 'ok',
  ): Case => ({
    name: `${name}, ${size} bytes, ${keys} ${keys === 1 ? 'key' : 'keys'}, ${what}`,
    calls,
    run: async () => {
      for (let n = 0; n < calls; n++) {
        const found = await ring.search(hello, peer, clock)
        if ((found.ok ? 'ok' : found.code) !== expected) throw new Error(`${what}: not ${expected}`)
      }
    },
  })
  return [
    build('hinted', CALLS, known, { ...STRANGER, userHints: [last] }),
    // Behind seven others of its network.
    build('eighth hint', CALLS, known, {
      ...STRANGER,
      userHints: [...users.slice(0, 7).map(({ slot }) => slot), last],
    }),
    build('recent', CALLS, known, STRANGER),
    build('hit in the middle', perBatch, middle, STRANGER, middleClock, 'stale-time'),
    build('full miss', perBatch, stranger, STRANGER, CLOCK, 'digest'),
  ]
}

/**
 * Milliseconds of processor time that the thread has used, to the microsecond; Node itself has them by the tick only.
 * CLOCK_THREAD_CPUTIME_ID is 3.
 */
function createThreadClock(): () => number {
  const clockGetTime: (clock: number, time: BigInt64Array) => number = koffi
    .load(null)
    .func('int clock_gettime(int, int64_t *)')
  const time = new BigInt64Array(2)
  return () => {
    clockGetTime(3, time)
    return Number(time[0]) * 1000 + Number(time[1]) / 1e6
  }
}

interface Slices {
  readonly p50: number
  readonly p99: number
  /** With whatever the engine did meanwhile: compiling, collecting garbage. */
  readonly max: number
}

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN

/** From the first look at the clock to the last one, in each round of the event loop. */
async function measureSlices(search: KeySearch, size: number): Promise<Slices> {
  const threadMs = createThreadClock()
  for (let n = 0; n < 1000; n++) threadMs() // or its own start is in the first slice
  const slices: number[] = []
  let startedMs: number | null = null
  let endedMs = 0
  const closeSlice = (): null => {
    if (startedMs !== null) slices.push(endedMs - startedMs)
    startedMs = null
    return null
  }
  const monotonicMs = (): number => {
    endedMs = threadMs()
    startedMs ??= endedMs
    return performance.now()
  }
  const ring = new KeyRing(createUsers(10_000), { queue: new SearchQueue(), search, monotonicMs })
  const stranger = signHello(randomBytes(16), size)
  for (let n = 0; n < WATCHED_SEARCHES; n++) {
    await ring.search(stranger, STRANGER, CLOCK, closeSlice)
    closeSlice()
  }
  slices.sort((a, b) => a - b)
  return { p50: quantile(slices, 0.5), p99: quantile(slices, 0.99), max: quantile(slices, 1) }
}

const { search, reason } = chooseKeySearch()
if (reason !== null) console.error(`key by key only: ${reason}`)
const searches: readonly [string, KeySearch][] =
  reason === null
    ? [
        ['four keys', search],
        ['key by key', keyByKey],
      ]
    : [['key by key', keyByKey]]

const slices: (Slices & { name: string })[] = []
for (const [name, search] of searches)
  for (const size of HELLO_BYTES)
    slices.push({ name: `${name}, ${size} bytes`, ...(await measureSlices(search, size)) })

const cases = searches.flatMap(([name, search]) =>
  [517, 1800].flatMap((size) => RING_KEYS.flatMap((keys) => ringCases(name, search, keys, size))),
)
const figures = await measureCases(cases)

if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'key-search', figures, slices }))
else {
  for (const { name, nsPerCall } of figures)
    console.log(`${name.padEnd(52)} ${(nsPerCall / 1000).toFixed(1).padStart(10)} µs`)
  for (const { name, p50, p99, max } of slices) {
    const [half, most, worst] = [p50, p99, max].map((ms) => (ms * 1000).toFixed(0))
    console.log(`slices, ${name.padEnd(40)} p50 ${half}, p99 ${most}, max ${worst} µs`)
  }
}
