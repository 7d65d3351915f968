/**
 * What does it cost to find out who signed a ClientHello, among so many keys of one host? Whole searches of a key ring, by
 * WebAssembly and key by key, and the longest time that one held the thread. Run: node bench/micro/key-search.ts [--json]
 */
import { randomBytes } from 'node:crypto'
import type { UserEntry } from '#shared/worker-control'
import { parseClientHello, type ClientHello } from '#worker/fake-tls/client-hello'
import { KeyRing, type SearchPeer } from '#worker/fake-tls/key-ring'
import { SearchQueue } from '#worker/fake-tls/search-queue'
import { keyByKey } from '#worker/key-search/key-by-key'
import type { KeySearch } from '#worker/key-search/key-search'
import { chooseKeySearch } from '#worker/key-search/self-test'
import { buildClientHello } from '../../test/support/client-hello.ts'
import { measureCases, median, type Case } from '../support/measure-cases.ts'

const HOST = 'example.com'
/** As TDLib sends them, with a hybrid key share, and as long as a hello may be. */
const HELLO_BYTES = [517, 1800, 16_384] as const
const RING_KEYS = [1, 100, 1_000, 10_000] as const
const STRANGER: SearchPeer = { userHints: [], source: '192.0.2.1' }
const CLOCK = { nowMs: Date.now(), toleranceMs: 3_600_000, notBeforeSeconds: null }
const CALLS = 100
/** Full searches of which the longest slice is taken. */
const WATCHED_SEARCHES = 20

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

/** The longest of each search, by a clock that runs on when somebody else has the processor: of twenty the median. */
async function findLongestSlice(search: KeySearch, size: number): Promise<number> {
  let [last, longest] = [0, 0]
  const worst: number[] = []
  const monotonicMs = (): number => {
    const now = performance.now()
    // The looks of one slice follow one another; between slices other work may have been done.
    if (isInSlice) longest = Math.max(longest, now - last)
    else last = now
    isInSlice = true
    return now
  }
  let isInSlice = false
  const ring = new KeyRing(createUsers(10_000), { queue: new SearchQueue(), search, monotonicMs })
  const stranger = signHello(randomBytes(16), size)
  const nextSlice = (): null => {
    isInSlice = false
    return null
  }
  for (let n = 0; n <= WATCHED_SEARCHES; n++) {
    longest = 0
    isInSlice = false
    await ring.search(stranger, STRANGER, CLOCK, nextSlice)
    if (n > 0) worst.push(longest)
  }
  return median(worst)
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

const cases = searches.flatMap(([name, search]) =>
  [517, 1800].flatMap((size) => RING_KEYS.flatMap((keys) => ringCases(name, search, keys, size))),
)
const figures = await measureCases(cases)
const slices: { name: string; ms: number }[] = []
for (const [name, search] of searches)
  for (const size of HELLO_BYTES)
    slices.push({ name: `${name}, ${size} bytes`, ms: await findLongestSlice(search, size) })

if (process.argv.includes('--json')) console.log(JSON.stringify({ bench: 'key-search', figures, slices }))
else {
  for (const { name, nsPerCall } of figures)
    console.log(`${name.padEnd(52)} ${(nsPerCall / 1000).toFixed(1).padStart(10)} µs`)
  for (const { name, ms } of slices)
    console.log(`longest slice, ${name.padEnd(37)} ${(ms * 1000).toFixed(0).padStart(10)} µs`)
}
