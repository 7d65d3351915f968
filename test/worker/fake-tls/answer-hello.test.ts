import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { UNLEARNT_PROFILE, type FrontFlight, type FrontFlights } from '#shared/traffic-profile'
import { answerHello } from '#worker/fake-tls/answer-hello'
import { parseClientHello } from '#worker/fake-tls/client-hello'
import { PublicValues } from '#worker/fake-tls/public-values'
import { ByteSocket } from '#worker/socket/byte-socket'
import { buildClientHello, HYBRID_HELLO_BYTES, type ClientHello } from '../../support/client-hello.ts'
import { verifyServerFlight, type ServerFlight } from '../../support/faketls-client.ts'
import { CountedSlots, LIVENESS_MS, openPair } from '../../support/socket-pair.ts'

const KEY = Buffer.alloc(16, 3)
const HOST = 'Front.test.'
const publicValues = new PublicValues()
const LIMIT = { timeout: LIVENESS_MS }

const FLIGHT: FrontFlight = {
  cipherSuite: 0x1302,
  group: 0x11ec,
  extensions: [0x33, 0x2b],
  encryptedBytes: [3000, 3001],
  recordBytes: [32, 2948],
  tickets: 2,
}

/** Whoever offers no hybrid share is answered with X25519, and told in ten bytes more what would have been preferred. */
const bothWays = (hybrid: FrontFlight): FrontFlights => ({
  hybrid,
  classic: { ...hybrid, group: 0x001d, encryptedBytes: hybrid.encryptedBytes.map((bytes) => bytes + 10) },
})

type Answer = (hello: ClientHello, flight: FrontFlight | null) => Promise<ServerFlight & { bytes: Buffer }>

/** Answers hellos over one connection; a client that is not ours checks every answer. */
async function openAnswerer(t: TestContext): Promise<Answer> {
  const { peer, accepted } = await openPair(t)
  const client = ByteSocket.adopt(accepted, new CountedSlots(), null)
  return async (hello, flight) => {
    const parsed = parseClientHello(hello.bytes)
    assert.ok(parsed.ok)
    const flights = new Map(flight === null ? [] : [['front.test', bothWays(flight)]])
    answerHello(
      client,
      parsed.hello,
      { key: KEY, host: HOST },
      { ...UNLEARNT_PROFILE, flights },
      publicValues,
    )
    let bytes = Buffer.alloc(0)
    for (;;) {
      // A socket without an encoding gives buffers.
      const [chunk] = (await once(peer, 'data')) as [Buffer]
      bytes = Buffer.concat([bytes, chunk])
      const verified = verifyServerFlight(KEY, hello, bytes)
      if (verified !== null) return { ...verified, bytes }
    }
  }
}

const usual = (): ClientHello => buildClientHello({ key: KEY, host: 'front.test' })
const hybrid = (): ClientHello => buildClientHello({ key: KEY, host: 'front.test', size: HYBRID_HELLO_BYTES })

/** Types of the extensions, in order; the session id has 32 bytes. */
function extensionsOf(flight: Buffer): number[] {
  const types = []
  const end = 5 + flight.readUInt16BE(3)
  for (let at = 5 + 76; at < end; at += 4 + flight.readUInt16BE(at + 2)) types.push(flight.readUInt16BE(at))
  return types
}

test(
  'while nothing is known, the third record has 2500 to 4699 bytes, another one each time',
  LIMIT,
  async (t) => {
    const answer = await openAnswerer(t)
    const sizes = new Set<number>()
    for (let i = 0; i < 40; i++) {
      const { applicationDataBytes, serverHelloBytes, cipher, group, bytes } = await answer(hybrid(), null)
      assert.deepEqual([serverHelloBytes, cipher, group], [127, 0x1301, 0x001d])
      assert.deepEqual(extensionsOf(bytes), [0x2b, 0x33])
      assert.ok(applicationDataBytes >= 2500 && applicationDataBytes <= 4699, `${applicationDataBytes}`)
      sizes.add(applicationDataBytes)
    }
    assert.ok(sizes.size > 20)
  },
)

test('cipher, group, order and size are those of the front', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  const sizes = new Set<number>()
  for (let i = 0; i < 20; i++) {
    const flight = await answer(hybrid(), FLIGHT)
    assert.deepEqual([flight.cipher, flight.group], [0x1302, 0x11ec])
    assert.equal(flight.serverHelloBytes, 127 + 1088, 'the share is a ciphertext and a point')
    assert.deepEqual(extensionsOf(flight.bytes), [0x33, 0x2b])
    sizes.add(5 + flight.applicationDataBytes)
  }
  assert.deepEqual(
    [...sizes].toSorted((a, b) => a - b),
    FLIGHT.encryptedBytes,
    'as many bytes on the wire as the front sent',
  )
})

test('a client that sent no hybrid share gets an X25519 one', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  const { group, serverHelloBytes, cipher, applicationDataBytes } = await answer(usual(), FLIGHT)
  assert.deepEqual([group, serverHelloBytes, cipher], [0x001d, 127, 0x1302])
  assert.ok([3010, 3011].includes(5 + applicationDataBytes), 'the size is that of an answer to such a client')
})

test('a front that took X25519 is followed by those who offer more', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  assert.equal((await answer(hybrid(), { ...FLIGHT, group: 0x001d })).group, 0x001d)
})

test('a group that takes a second hello is not answered', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  assert.equal((await answer(hybrid(), { ...FLIGHT, group: 0x0017 })).group, 0x001d)
})

test('a suite that the client does not offer is not chosen', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  assert.equal((await answer(hybrid(), { ...FLIGHT, cipherSuite: 0x1304 })).cipher, 0x1301)
})

test('extensions that a client of ours could not explain are left out', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  const { bytes } = await answer(usual(), { ...FLIGHT, extensions: [0x33, 0x29, 0x33] })
  assert.deepEqual(extensionsOf(bytes), [0x33, 0x2b])
})

test('the third record exists, however much or little the front sends', LIMIT, async (t) => {
  const answer = await openAnswerer(t)
  assert.equal((await answer(usual(), { ...FLIGHT, encryptedBytes: [60_000] })).applicationDataBytes, 16_401)
  assert.equal((await answer(usual(), { ...FLIGHT, encryptedBytes: [-7] })).applicationDataBytes, 17)
  assert.equal((await answer(usual(), { ...FLIGHT, encryptedBytes: [] })).applicationDataBytes, 17)
})

test('the flight of another host is no model', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const client = ByteSocket.adopt(accepted, new CountedSlots(), null)
  const hello = hybrid()
  const parsed = parseClientHello(hello.bytes)
  assert.ok(parsed.ok)
  const profile = { ...UNLEARNT_PROFILE, flights: new Map([['other.test', bothWays(FLIGHT)]]) }
  answerHello(client, parsed.hello, { key: KEY, host: HOST }, profile, publicValues)
  const [bytes] = (await once(peer, 'data')) as [Buffer]
  assert.deepEqual(extensionsOf(bytes), [0x2b, 0x33])
})
