import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { HANDSHAKE_CODES, HandshakeError, type HandshakeCode } from '#shared/errors'
import { HelloDigest } from '#worker/fake-tls/authenticate'
import type { ClientHello } from '#worker/fake-tls/client-hello'
import { MAX_HELLO_BYTES, MAX_HELLO_RECORDS, readClientHello } from '#worker/fake-tls/read-client-hello'
import { deadlinePassed, peerClosed, RewindableReader } from '#worker/rewindable-reader'
import {
  bytes,
  cutAt,
  cuts,
  encodeHelloBody,
  encodeHelloMessage,
  encodeHelloRecords,
  encodeRecord,
  helloFields,
} from '../../support/generators.ts'

interface HelloFixture {
  /** Hex. */
  key: string
  /** Unix seconds. */
  time: number
  random: string
  sessionId: string
  /** The whole record, base64 like the two before. */
  full: string
  host: string
  cipherSuite: number
}

const FIXTURES = new URL('../../fixtures/client-hello/', import.meta.url)
// The files are written in this shape; a file that is not fails its test.
const readFixture = (name: string): HelloFixture =>
  JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8')) as HelloFixture
const KNOWN = Buffer.from(readFixture('ok-known-answer.json').full, 'base64')
const KNOWN_MESSAGE = KNOWN.subarray(5)

interface Outcome {
  hello: ClientHello | null
  code: HandshakeCode | null
  /** Bytes that had arrived when the outcome was clear. */
  arrived: number
  reader: RewindableReader
}

/** Feed chunk by chunk with a turn of the event loop between, until the outcome is clear; then the peer closes. */
async function feed(chunks: readonly Buffer[], end: () => HandshakeError = peerClosed): Promise<Outcome> {
  const reader = new RewindableReader()
  const outcome: Outcome = { hello: null, code: null, arrived: 0, reader }
  let settled = false
  const reading = readClientHello(reader).then(
    (hello) => {
      outcome.hello = hello
      settled = true
    },
    (error: unknown) => {
      assert.ok(error instanceof HandshakeError, String(error))
      outcome.code = error.code
      settled = true
    },
  )
  for (const chunk of chunks) {
    reader.push(chunk)
    outcome.arrived += chunk.length
    await nextTurn()
    if (settled) break
  }
  reader.fail(end())
  await reading
  return outcome
}

const byteByByte = (whole: Buffer): Buffer[] => Array.from(whole, (byte) => Buffer.of(byte))
const header = (type: number, version: number, length: number): Buffer =>
  Buffer.of(type, version >> 8, version & 0xff, length >> 8, length & 0xff)

for (const name of readdirSync(FIXTURES)) {
  test(`recorded hello ${name} is read, and its signature is ${name.startsWith('ok-') ? 'valid' : 'not'}`, async () => {
    const fixture = readFixture(name)
    const { hello } = await feed([Buffer.from(fixture.full, 'base64')])
    assert.ok(hello)
    assert.deepEqual(hello.image, Buffer.from(fixture.full, 'base64'))
    assert.equal(hello.random.toString('base64'), fixture.random)
    assert.equal(hello.sessionId.toString('base64'), fixture.sessionId)
    assert.equal(hello.cipherSuite, fixture.cipherSuite)
    assert.deepEqual(hello.serverNames, [fixture.host])
    const unixSeconds = new HelloDigest(hello).verify(Buffer.from(fixture.key, 'hex'))
    assert.equal(unixSeconds, name.startsWith('ok-') ? fixture.time : null)
  })
}

test('the known answer is read whole, cut at every byte and byte by byte', async () => {
  assert.equal(KNOWN.length, 108)
  const variants = [[KNOWN], byteByByte(KNOWN)]
  for (let at = 0; at <= KNOWN.length; at++) variants.push(cutAt(KNOWN, [at]))
  for (const chunks of variants) {
    const { hello } = await feed(chunks)
    assert.ok(hello)
    assert.deepEqual(hello.image, KNOWN)
    assert.equal(hello.cipherSuite, 0x1301)
    assert.deepEqual(hello.serverNames, ['example.com'])
  }
})

test('a hello in up to 11 records, cut anywhere, has the image of one record, and no byte behind it is consumed', async () => {
  const cases = helloFields().chain((fields) => {
    const message = encodeHelloMessage(encodeHelloBody(fields))
    return fc.record({
      message: fc.constant(message),
      fragments: cuts(message.length, MAX_HELLO_RECORDS - 1),
      behind: bytes(0, 30),
      arrivals: fc.array(fc.nat(message.length + 55), { maxLength: 6 }),
    })
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ message, fragments, behind, arrivals }) => {
      const wire = Buffer.concat([encodeHelloRecords(message, fragments), behind])
      const positions = arrivals.filter((at) => at < wire.length).toSorted((a, b) => a - b)
      const reader = new RewindableReader()
      const reading = readClientHello(reader)
      for (const chunk of cutAt(wire, positions)) {
        reader.push(chunk)
        await nextTurn()
      }
      assert.deepEqual((await reading).image, encodeHelloRecords(message))
      // Empty records at the end belong to a hello that is complete without them.
      const last = fragments.filter((at) => at === message.length).length
      assert.deepEqual(reader.takeUnread().subarray(5 * last), behind)
      assert.deepEqual(reader.allBytes(), wire)
    }),
  )
})

test('cuts inside the four bytes of the handshake header do no harm', async () => {
  for (const positions of [[1], [2], [3], [4], [1, 2, 3], [0, 0, 1, 1, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]) {
    const { hello } = await feed(byteByByte(encodeHelloRecords(KNOWN_MESSAGE, positions)))
    assert.deepEqual(hello?.image, KNOWN, `cut at ${positions.join()}`)
  }
})

test('the twelfth record is refused before anything of it is read', async () => {
  const positions = Array.from({ length: 11 }, (_, index) => index + 1)
  const wire = encodeHelloRecords(KNOWN_MESSAGE, positions)
  const { code, arrived, reader } = await feed(byteByByte(wire))
  assert.equal(code, 'too-many-records')
  assert.equal(arrived, 11 * 6)
  assert.equal(reader.unreadBytes, 0)
})

test('empty records count as records', async () => {
  const { code } = await feed([Buffer.concat(Array.from({ length: 12 }, () => header(0x16, 0x0301, 0)))])
  assert.equal(code, 'too-many-records')
})

test('bytes of the last record behind the message are not part of the hello', async () => {
  const wire = encodeRecord(0x16, Buffer.concat([KNOWN_MESSAGE, Buffer.alloc(50, 9)]), 0x0301)
  const { hello, reader } = await feed([wire])
  assert.deepEqual(hello?.image, KNOWN)
  assert.deepEqual(reader.allBytes(), wire, 'the fronting site gets them all the same')
})

test('a hello above 16 KiB is refused at the record header that says so', async () => {
  const first = await feed([header(0x16, 0x0301, MAX_HELLO_BYTES + 1), Buffer.alloc(100)])
  assert.equal(first.code, 'hello-too-large')
  assert.equal(first.arrived, 5)

  const part = encodeRecord(0x16, KNOWN_MESSAGE.subarray(0, 3), 0x0301)
  const second = await feed([part, header(0x16, 0x0301, MAX_HELLO_BYTES - 2), Buffer.alloc(100)])
  assert.equal(second.code, 'hello-too-large')
  assert.equal(second.arrived, part.length + 5)
})

test('a hello above 16 KiB is refused at the handshake header that says so', async () => {
  const tooLong = MAX_HELLO_BYTES - 4 + 1
  const message = Buffer.from([0x01, 0x00, tooLong >> 8, tooLong & 0xff, 0x03])
  const { code, arrived } = await feed([...cutAt(encodeHelloRecords(message, [4]), [9]), Buffer.alloc(100)])
  assert.equal(code, 'hello-too-large')
  assert.equal(arrived, 9)
  const huge = await feed([encodeRecord(0x16, Buffer.of(0x01, 0xff, 0xff, 0xff), 0x0301)])
  assert.equal(huge.code, 'hello-too-large')
})

test('a hello of exactly 16 KiB is read', async () => {
  const fields = {
    random: Buffer.alloc(32),
    sessionId: Buffer.alloc(0),
    suites: [0x1301],
    compression: Buffer.of(0),
  }
  const plain = encodeHelloMessage(encodeHelloBody({ ...fields, names: ['a.b'], extensions: [] }))
  const padding = Buffer.alloc(MAX_HELLO_BYTES - plain.length - 4)
  const message = encodeHelloMessage(
    encodeHelloBody({ ...fields, names: ['a.b'], extensions: [[21, padding]] }),
  )
  assert.equal(message.length, MAX_HELLO_BYTES)
  for (const positions of [[], [4], [16_000]]) {
    const { hello } = await feed([encodeHelloRecords(message, positions)])
    assert.deepEqual(hello?.serverNames, ['a.b'])
  }
})

test('type and version of a record are judged as soon as they are there, of the first record and of later ones', async () => {
  const cases: [Buffer, HandshakeCode][] = [
    [header(0x17, 0x0301, 100), 'record-type'],
    [Buffer.from('GET / HTTP/1.1\r\n'), 'record-type'],
    [header(0x16, 0x0303, 100), 'record-version'],
    [header(0x16, 0x0300, 100), 'record-version'],
    [header(0x17, 0x0303, 0xffff), 'record-type'],
  ]
  for (const [bad, code] of cases) {
    const first = await feed(byteByByte(bad))
    const judgedAt = code === 'record-type' ? 1 : 3
    assert.deepEqual([first.code, first.arrived], [code, judgedAt])
    const good = encodeHelloRecords(KNOWN_MESSAGE.subarray(0, 50))
    const later = await feed([good, ...byteByByte(bad)])
    assert.deepEqual([later.code, later.arrived], [code, good.length + judgedAt])
  }
})

test('another handshake message is refused once the first record is complete', async () => {
  const message = Buffer.from(KNOWN_MESSAGE)
  message[0] = 0x02
  const whole = await feed(byteByByte(encodeHelloRecords(message)))
  assert.deepEqual([whole.code, whole.arrived], ['handshake-type', KNOWN.length])
  const short = await feed(byteByByte(encodeHelloRecords(message, [4])))
  assert.deepEqual([short.code, short.arrived], ['handshake-type', 9])
})

test('a peer that closes or falls silent within its hello is told apart, at every byte', async () => {
  for (let at = 0; at < KNOWN.length; at++) {
    const closed = await feed([KNOWN.subarray(0, at)])
    assert.equal(closed.code, 'peer-closed')
    assert.deepEqual(closed.reader.allBytes(), KNOWN.subarray(0, at))
    assert.equal((await feed([KNOWN.subarray(0, at)], deadlinePassed)).code, 'deadline')
  }
})

test('a hello that the parser refuses is refused with its code', async () => {
  const fields = {
    random: Buffer.alloc(32),
    sessionId: Buffer.alloc(0),
    compression: Buffer.of(0),
    extensions: [],
  }
  const noCipher = encodeHelloBody({ ...fields, suites: [0x0a0a], names: ['a.b'] })
  assert.equal((await feed([encodeHelloRecords(encodeHelloMessage(noCipher))])).code, 'no-cipher')
  assert.equal(
    (await feed([encodeHelloRecords(encodeHelloMessage(Buffer.alloc(0)))])).code,
    'hello-malformed',
  )
})

test('garbage ends with a known code, consumes no more than the limits allow, and can be replayed', async () => {
  const record = fc
    .tuple(fc.constantFrom(0x16, 0x16, 0x16, 0x17), fc.constantFrom(0x0301, 0x0301, 0x0303), bytes(0, 80))
    .map(([type, version, payload]) => encodeRecord(type, payload, version))
  const garbage = fc.oneof(
    bytes(0, 200),
    fc.array(record, { maxLength: 14 }).map((records) => Buffer.concat(records)),
    fc
      .array(record, { maxLength: 14 })
      .map((records) => Buffer.concat([Buffer.from('160301000101', 'hex'), ...records])),
  )
  await fc.assert(
    fc.asyncProperty(garbage, async (sent) => {
      const { code, hello, reader } = await feed([sent])
      assert.ok(hello !== null || (code !== null && HANDSHAKE_CODES.includes(code)))
      assert.deepEqual(reader.allBytes(), sent)
    }),
    { numRuns: 500 },
  )
})
