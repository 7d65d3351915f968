import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { type TestContext, test } from 'node:test'
import * as fc from 'fast-check'
import { BugError } from '#shared/errors'
import type { UserEntry } from '#shared/worker-control'
import { buildHelloImage, parseClientHello, type ClientHello } from '#worker/fake-tls/client-hello'
import {
  KEYS_PER_LOOK,
  KeyRing,
  LEAST_AT_ONCE,
  SLICE_MS,
  type KeySearchResult,
  type SearchClock,
  type SearchPeer,
} from '#worker/fake-tls/key-ring'
import { SearchQueue } from '#worker/fake-tls/search-queue'
import { searchFourKeys } from '#worker/key-search/four-keys'
import { keyByKey } from '#worker/key-search/key-by-key'
import type { KeySearch } from '#worker/key-search/key-search'
import { KeyTable } from '#worker/key-search/key-table'
import { encodeHelloBody, hostName, secretKey, signHelloBody } from '../../support/generators.ts'

const NOW_SECONDS = 1_700_000_000
const CLOCK: SearchClock = { nowMs: NOW_SECONDS * 1000, toleranceMs: 5000, notBeforeSeconds: null }
const STRANGER: SearchPeer = { userHints: [], source: '192.0.2.1' }
const seen = (...userHints: readonly number[]): SearchPeer => ({ ...STRANGER, userHints })
const SEARCHES: readonly KeySearch[] = [keyByKey, searchFourKeys(new KeyTable())]
/** So slow that it has the least at once. */
const SLOW: KeySearch = { ...keyByKey, estimateMs: () => 0.007 }
const LOOKS_PER_SLICE = 4
const KEYS_PER_SLICE = LOOKS_PER_SLICE * KEYS_PER_LOOK
/** One HMAC is two hashes. */
const HASHES_PER_KEY = 2

interface Signed {
  key: Uint8Array
  names: readonly string[]
  seconds?: number
}

function hello({ key, names, seconds = NOW_SECONDS }: Signed): ClientHello {
  const body = encodeHelloBody({
    random: Buffer.alloc(32),
    sessionId: Buffer.alloc(32, 1),
    suites: [0x1301],
    compression: Buffer.of(0),
    names: names.length === 0 ? null : names,
    extensions: [],
  })
  signHelloBody(body, key, seconds)
  const parsed = parseClientHello(buildHelloImage(body))
  assert.ok(parsed.ok)
  return parsed.hello
}

const keyOf = (index: number): Buffer => {
  const key = Buffer.alloc(16, 0xaa)
  key.writeUInt32BE(index)
  return key
}

function user(slot: number, ...secrets: readonly (readonly [Uint8Array, string])[]): UserEntry {
  const name = `user-${String(slot).padStart(6, '0')}`
  return { name, slot, generation: 1, secrets: secrets.map(([key, host]) => ({ key, host })) }
}

const manyUsers = (count: number, host: string): UserEntry[] =>
  Array.from({ length: count }, (_, index) => user(index, [keyOf(index), host]))

/** On a clock that goes on by itself at each look, so that slices are of equal length. */
function ringOf(users: readonly UserEntry[], search: KeySearch = SLOW): KeyRing {
  let looks = 0
  const monotonicMs = (): number => (looks++ * SLICE_MS) / LOOKS_PER_SLICE
  return new KeyRing(users, { queue: new SearchQueue(), search, monotonicMs })
}

/** Counts the keys that are tried from now to the end of the test. */
function countTries(t: TestContext): () => number {
  const { mock } = t.mock.method(crypto, 'hash')
  syncBuiltinESMExports()
  t.after(() => {
    mock.restore()
    syncBuiltinESMExports()
  })
  return () => mock.callCount() / HASHES_PER_KEY
}

test('the user who signed is found among many on many hosts, with the host of the secret', async () => {
  const secrets = fc.array(fc.tuple(secretKey(), hostName()), { minLength: 1, maxLength: 8 })
  const rings = fc
    .array(secrets, { minLength: 1, maxLength: 6 })
    .chain((users) =>
      fc.tuple(
        fc.constant(users),
        fc.nat(users.length - 1),
        fc.nat(7),
        fc.array(fc.nat(7), { maxLength: 4 }),
        fc.constantFrom(...SEARCHES),
      ),
    )
  await fc.assert(
    fc.asyncProperty(rings, async ([lists, who, which, hints, search]) => {
      const users = lists.map((list, slot) => user(slot, ...list))
      const list = lists[who] ?? []
      const secret = list[which % list.length]
      assert.ok(secret !== undefined)
      const found = await ringOf(users, search).search(
        hello({ key: secret[0], names: [secret[1]] }),
        seen(...hints),
        CLOCK,
      )
      assert.ok(found.ok)
      assert.equal(found.userKey.host, secret[1])
      assert.deepEqual(Buffer.from(found.userKey.key), secret[0])
    }),
  )
})

test('a key works with its own host only', async () => {
  const ring = ringOf([user(0, [keyOf(0), 'a.example']), user(1, [keyOf(1), 'b.example'])])
  const crossed = await ring.search(hello({ key: keyOf(0), names: ['b.example'] }), seen(0), CLOCK)
  assert.deepEqual(crossed, { ok: false, code: 'digest', host: 'b.example' })
  const right = await ring.search(hello({ key: keyOf(0), names: ['a.example'] }), seen(0), CLOCK)
  assert.ok(right.ok)
})

test('one key with two hosts, of one user or of two, is told apart by the host', async () => {
  const shared = keyOf(7)
  const users = [user(3, [shared, 'a.example'], [shared, 'b.example']), user(4, [shared, 'c.example'])]
  const ring = ringOf(users)
  for (const [host, slot] of [
    ['a.example', 3],
    ['b.example', 3],
    ['c.example', 4],
  ] as const) {
    const found = await ring.search(hello({ key: shared, names: [host] }), seen(3), CLOCK)
    assert.ok(found.ok)
    assert.deepEqual([found.userKey.user.slot, found.userKey.host], [slot, host])
  }
})

test('of equal keys with one host the first user by name gets the connection', async () => {
  const ring = ringOf([user(0, [keyOf(7), 'a.example']), user(1, [keyOf(7), 'a.example'])])
  const found = await ring.search(hello({ key: keyOf(7), names: ['a.example'] }), STRANGER, CLOCK)
  assert.ok(found.ok)
  assert.equal(found.userKey.user.slot, 0)
})

test('hosts match without case and trailing dot, and fronting goes where the operator wrote', async () => {
  const ring = ringOf([user(0, [keyOf(0), 'Www.Example.com.'])])
  const found = await ring.search(hello({ key: keyOf(0), names: ['wWW.example.COM'] }), STRANGER, CLOCK)
  assert.ok(found.ok)
  assert.equal(found.userKey.host, 'Www.Example.com.')
  const missed = await ring.search(hello({ key: keyOf(1), names: ['www.example.com'] }), STRANGER, CLOCK)
  assert.deepEqual(missed, { ok: false, code: 'digest', host: 'Www.Example.com.' })
})

test('of several names the first that is ours decides', async () => {
  const ring = ringOf([user(0, [keyOf(0), 'a.example']), user(1, [keyOf(1), 'b.example'])])
  const names = ['x.example', 'b.example', 'a.example']
  const found = await ring.search(hello({ key: keyOf(1), names }), STRANGER, CLOCK)
  assert.ok(found.ok)
  assert.equal(found.userKey.host, 'b.example')
})

test('a peer without a name or with a foreign one is fronted to the first host', async () => {
  const ring = ringOf([user(0, [keyOf(0), 'a.example']), user(1, [keyOf(1), 'b.example'])])
  assert.equal(ring.defaultHost, 'a.example')
  const nameless = await ring.search(hello({ key: keyOf(0), names: [] }), STRANGER, CLOCK)
  assert.deepEqual(nameless, { ok: false, code: 'sni-missing', host: 'a.example' })
  for (const name of ['x.example', 'a.example.evil', '__proto__']) {
    const foreign = await ring.search(hello({ key: keyOf(0), names: [name] }), STRANGER, CLOCK)
    assert.deepEqual(foreign, { ok: false, code: 'sni-unknown', host: 'a.example' })
  }
})

test('a hello is accepted exactly as far off as tolerated, to the millisecond, both ways', async () => {
  const ring = ringOf([user(0, [keyOf(0), 'a.example'])])
  const signed = hello({ key: keyOf(0), names: ['a.example'] })
  const at = async (offsetMs: number, toleranceMs: number): Promise<string> => {
    const found = await ring.search(signed, STRANGER, {
      ...CLOCK,
      nowMs: CLOCK.nowMs + offsetMs,
      toleranceMs,
    })
    return found.ok ? 'ok' : found.code
  }
  for (const toleranceMs of [0, 1, 3000, 5000]) {
    assert.equal(await at(toleranceMs, toleranceMs), 'ok')
    assert.equal(await at(-toleranceMs, toleranceMs), 'ok')
    assert.equal(await at(toleranceMs + 1, toleranceMs), 'stale-time')
    assert.equal(await at(-toleranceMs - 1, toleranceMs), 'stale-time')
  }
})

test('a hello from before the start is refused as such, unless its time is wrong anyway', async () => {
  const ring = ringOf([user(0, [keyOf(0), 'a.example'])])
  const clock = { ...CLOCK, notBeforeSeconds: NOW_SECONDS - 2 }
  const from = async (seconds: number): Promise<string> => {
    const found = await ring.search(hello({ key: keyOf(0), names: ['a.example'], seconds }), STRANGER, clock)
    return found.ok ? 'ok' : found.code
  }
  assert.equal(await from(NOW_SECONDS - 2), 'ok')
  assert.equal(await from(NOW_SECONDS - 3), 'before-start')
  assert.equal(await from(NOW_SECONDS - 6), 'stale-time')
})

test('the user seen last from a network is tried first', async (t) => {
  const ring = ringOf(manyUsers(1000, 'a.example'))
  const tries = countTries(t)
  const found = await ring.search(hello({ key: keyOf(900), names: ['a.example'] }), seen(900), CLOCK)
  assert.ok(found.ok)
  assert.equal(tries(), 1)
})

test('a wrong hint costs one try and no connection', async (t) => {
  const ring = ringOf([...manyUsers(20, 'a.example'), user(99, [keyOf(99), 'b.example'])])
  const tries = countTries(t)
  for (const hint of [7, 99, 12_345]) {
    const found = await ring.search(hello({ key: keyOf(0), names: ['a.example'] }), seen(hint), CLOCK)
    assert.ok(found.ok)
    assert.equal(found.userKey.user.slot, 0)
  }
  assert.ok(tries() <= 2 + 2 + 1)
})

test('of several users on one network none waits for the long list', async (t) => {
  const ring = ringOf(manyUsers(1000, 'a.example'))
  const tries = countTries(t)
  for (const [who, most] of [
    [900, 1],
    [901, 2],
    [902, 3],
  ] as const) {
    const before = tries()
    const found = await ring.search(
      hello({ key: keyOf(who), names: ['a.example'] }),
      seen(900, 901, 902),
      CLOCK,
    )
    assert.ok(found.ok)
    assert.equal(found.userKey.user.slot, who)
    assert.equal(tries() - before, most)
  }
})

test('keys used lately are tried before the long list, and no more of them than the limit', async (t) => {
  const count = 200
  const ring = ringOf(manyUsers(count, 'a.example'))
  for (let i = 0; i < count; i++)
    await ring.search(hello({ key: keyOf(i), names: ['a.example'] }), STRANGER, CLOCK)
  const tries = countTries(t)
  const search = async (index: number): Promise<number> => {
    const before = tries()
    await ring.search(hello({ key: keyOf(index), names: ['a.example'] }), STRANGER, CLOCK)
    return tries() - before
  }
  assert.equal(await search(199), 1, 'the last one comes first')
  assert.equal(await search(190), 10, 'in the order of their use')
  assert.equal(await search(199), 2, 'a use moves a key to the front')
  assert.equal(await search(0), LEAST_AT_ONCE + 1, 'a key that has dropped out is found in the list')
  assert.equal(
    await search(count + 1),
    LEAST_AT_ONCE + count,
    'a stranger costs all keys once and the recent ones twice',
  )
  assert.equal(await search(0), 1)
})

test('a search in a long list lets the thread turn to its connections', async () => {
  const slices = 12
  const users = manyUsers(KEYS_PER_SLICE * slices, 'a.example')
  const ring = ringOf(users)
  let turns = 0
  let searching = true
  const count = (): void => {
    turns += 1
    if (searching) setImmediate(count)
  }
  setImmediate(count)
  const stranger = hello({ key: Buffer.alloc(16, 1), names: ['a.example'] })
  const results = await Promise.all([0, 1].map(() => ring.search(stranger, STRANGER, CLOCK)))
  searching = false
  assert.deepEqual(
    results.map((found) => found.ok || found.code),
    ['digest', 'digest'],
  )
  assert.ok(
    turns >= 2 * (slices - 1),
    `${turns} turns of the event loop for two searches of ${slices} slices`,
  )
  const last = hello({ key: users.at(-1)?.secrets[0]?.key ?? keyOf(0), names: ['a.example'] })
  assert.ok((await ring.search(last, STRANGER, CLOCK)).ok, 'the last key of the last slice is tried too')
})

test('a burst of forged hellos costs the thread one slice at once, and each the recent keys', async (t) => {
  const hellos = 50
  const ring = ringOf(manyUsers(KEYS_PER_SLICE * 3, 'a.example'))
  for (let i = 0; i < LEAST_AT_ONCE; i++)
    await ring.search(hello({ key: keyOf(i), names: ['a.example'] }), STRANGER, CLOCK)
  await new Promise((resolve) => setImmediate(resolve))
  const tries = countTries(t)
  const forged = hello({ key: Buffer.alloc(16, 1), names: ['a.example'] })
  const searches = Array.from({ length: hellos }, () => ring.search(forged, STRANGER, CLOCK))
  assert.equal(tries(), KEYS_PER_SLICE + hellos * LEAST_AT_ONCE)
  // A user whom the network's hint names waits for none of them.
  assert.ok((await ring.search(hello({ key: keyOf(150), names: ['a.example'] }), seen(150), CLOCK)).ok)
  assert.equal(tries(), KEYS_PER_SLICE + hellos * LEAST_AT_ONCE + 1)
  for (const found of await Promise.all(searches)) assert.ok(!found.ok && found.code === 'digest')
})

test('a hello of a wrong time ends the search where it is found, and makes nobody recent', async (t) => {
  const ring = ringOf(manyUsers(50, 'a.example'))
  const tries = countTries(t)
  const stale = hello({ key: keyOf(9), names: ['a.example'], seconds: NOW_SECONDS - 60 })
  for (let round = 1; round <= 2; round++) {
    const found = await ring.search(stale, STRANGER, CLOCK)
    assert.ok(!found.ok && found.code === 'stale-time')
    assert.equal(tries(), 10 * round)
  }
})

test('a reload keeps what was learnt of keys that stay, wherever they stand now', async (t) => {
  for (const search of SEARCHES) {
    const users = manyUsers(400, 'a.example')
    const ring = ringOf(users, search)
    const ask = (index: number): Promise<KeySearchResult> =>
      ring.search(hello({ key: keyOf(index), names: ['a.example'] }), STRANGER, CLOCK)
    for (const index of [0, 399, 200]) assert.ok((await ask(index)).ok)
    ring.setUsers(users.slice(100).map((entry) => ({ ...entry, generation: 2 })))
    const tries = countTries(t)
    for (const index of [200, 399]) {
      const found = await ask(index)
      assert.ok(found.ok)
      assert.equal(found.userKey.user.slot, index)
      assert.equal(found.userKey.user.generation, 2)
    }
    assert.ok(tries() <= 1 + 2)
    assert.equal((await ask(0)).ok, false, 'who is gone is not found')
    t.mock.reset()
    syncBuiltinESMExports()
    ring.setUsers(users)
    for (const index of [0, 99, 100, 399]) assert.ok((await ask(index)).ok)
  }
})

test('a search that a reload comes into misses nobody who stays, and finds nobody who is gone', async () => {
  for (const search of SEARCHES) {
    const users = manyUsers(KEYS_PER_SLICE * 6, 'a.example')
    const other = user(users.length, [keyOf(99_999), 'b.example'])
    const reload = async (who: number, left: readonly UserEntry[]): Promise<KeySearchResult> => {
      const ring = ringOf([...users, other], search)
      let slices = 0
      return ring.search(hello({ key: keyOf(who), names: ['a.example'] }), STRANGER, CLOCK, () => {
        slices += 1
        // From the middle of the list this one comes to where has been searched already.
        if (slices === 3) ring.setUsers(left)
        return null
      })
    }
    const last = users.length - 1
    const half = [...users.slice(users.length / 2), other]
    assert.ok((await reload(last, half)).ok)
    const gone = await reload(last, [...users.slice(0, last), other])
    assert.ok(!gone.ok && gone.code === 'digest')
    const noHost = await reload(last, [other])
    assert.ok(!noHost.ok && noHost.code === 'digest')
  }
})

test('a ring without users is a bug', () => {
  assert.throws(() => ringOf([]), BugError)
})

test('a search that nobody waits for any more ends at its next slice', async () => {
  const ring = ringOf(manyUsers(KEYS_PER_SLICE * 20, 'a.example'))
  let asked = 0
  const found = await ring.search(
    hello({ key: keyOf(60_000), names: ['a.example'] }),
    STRANGER,
    CLOCK,
    () => {
      asked += 1
      return asked === 2 ? 'peer-closed' : null
    },
  )
  assert.deepEqual(found, { ok: false, code: 'peer-closed', host: 'a.example' })
  assert.equal(asked, 2)
})
