/**
 * What does it cost to try a ClientHello against a key, by HelloDigest and by createHmac, and to search a key ring? CPU time
 * of the thread, in rounds that take every case in turn; the median round counts. Run: node bench/micro/hello-digest.ts [--json] [--quick]
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

import type { UserEntry } from '#shared/worker-control'
import { HelloDigest } from '#worker/fake-tls/authenticate'
import { parseClientHello, type ClientHello } from '#worker/fake-tls/client-hello'
import { KeyRing, RECENT_KEYS } from '#worker/fake-tls/key-ring'
import { SearchQueue } from '#worker/fake-tls/search-queue'
import { buildClientHello } from '../../test/support/client-hello.ts'
import { type Case, IS_QUICK, measureCases, printFigures } from '../support/micro.ts'

/** Between two looks at the clock. */
const KEYS_PER_BATCH = IS_QUICK ? 20 : 1_000
const HOST = 'example.com'
const NO_HINT = -1
/** As TDLib sends them, and with a hybrid key share. */
const HELLO_BYTES = [517, 1800] as const
const RING_KEYS = [1, 100, 1_000, 10_000] as const

function signHello(key: Uint8Array, size: number): ClientHello {
  const parsed = parseClientHello(buildClientHello({ key, host: HOST, size }).bytes)
  if (!parsed.ok) throw new Error(parsed.code)
  return parsed.hello
}

/** A stranger's hello against a key, again and again. */
function digestCases(size: number): Case[] {
  const key = randomBytes(16)
  const hello = signHello(randomBytes(16), size)
  const image = Buffer.from(hello.image)
  image.fill(0, 11, 43)
  const expected = hello.random.subarray(0, 28)
  const verify = (): void => {
    const digest = new HelloDigest(hello)
    for (let i = 0; i < KEYS_PER_BATCH; i++) if (digest.verify(key) !== null) throw new Error('no such key')
  }
  const hmac = (): void => {
    for (let i = 0; i < KEYS_PER_BATCH; i++) {
      const mac = createHmac('sha256', key).update(image).digest()
      if (timingSafeEqual(mac.subarray(0, 28), expected)) throw new Error('no such key')
    }
  }
  return [
    { name: `HelloDigest.verify, ${size} bytes`, calls: KEYS_PER_BATCH, run: verify },
    { name: `createHmac, ${size} bytes`, calls: KEYS_PER_BATCH, run: hmac },
  ]
}

/** Whole searches over so many users of one host: by a stranger, by a user known from the network, by a recent one. */
function ringCases(keys: number): Case[] {
  const users = Array.from({ length: keys }, (_, slot): UserEntry => ({
    name: `user-${slot}`,
    slot,
    generation: 1,
    secrets: [{ key: randomBytes(16), host: HOST }],
  }))
  const ring = new KeyRing(users, new SearchQueue())
  const last = users.at(-1)?.secrets[0]?.key ?? Buffer.alloc(16)
  const [stranger, known] = [signHello(randomBytes(16), 517), signHello(last, 517)]
  const clock = { nowMs: Date.now(), toleranceMs: 3_600_000, notBeforeSeconds: null }
  const search = (name: string, calls: number, hello: ClientHello, hint: number): Case => ({
    name: `${name}, ${keys} ${keys === 1 ? 'key' : 'keys'}`,
    calls,
    run: async () => {
      for (let i = 0; i < calls; i++) {
        const { ok } = await ring.search(hello, { userHint: hint, source: '192.0.2.1' }, clock)
        if (ok === (hello === stranger)) throw new Error('the search found another than asked for')
      }
    },
  })
  const few = Math.ceil(KEYS_PER_BATCH / (keys + RECENT_KEYS))
  return [
    search('search, hinted', 100, known, users.length - 1),
    search('search, recent', 100, known, NO_HINT),
    // After the other two: one key is recent now, and is tried twice.
    search('search, stranger', few, stranger, NO_HINT),
  ]
}

const cases = [...HELLO_BYTES.flatMap(digestCases), ...RING_KEYS.flatMap(ringCases)]
printFigures('hello-digest', await measureCases(cases))
