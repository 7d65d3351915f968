import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { MAX_IDLE_RECORDS, RecordDecoder, type RecordEnd } from '#worker/fake-tls/record-decoder'
import { bytes, cutAt, cuts, encodeRecord } from '../../support/generators.ts'

interface Decoded {
  payload: Buffer
  end: RecordEnd | null
}

function decodeChunks(chunks: readonly Buffer[]): Decoded {
  const decoder = new RecordDecoder()
  const payload: Buffer[] = []
  for (const chunk of chunks) {
    const memory = Buffer.from(chunk)
    payload.push(Buffer.from(memory.subarray(0, decoder.decode(memory))))
  }
  return { payload: Buffer.concat(payload), end: decoder.end }
}

/** Decision W6 and wire.md §4 over the whole stream at once; a record that is not complete gives what it has. */
function decodeNaively(stream: Buffer): Decoded {
  const payload: Buffer[] = []
  let idle = 0
  let at = 0
  const result = (end: RecordEnd | null): Decoded => ({ payload: Buffer.concat(payload), end })
  while (stream.length - at >= 5) {
    const type = stream[at]
    const length = stream.readUInt16BE(at + 3)
    const content = stream.subarray(at + 5, at + 5 + length)
    if (stream.readUInt16BE(at + 1) !== 0x0303) return result('record-version')
    if (length > 16_640) return result('record-length')
    if (type === 0x17 && length > 0) {
      idle = 0
      payload.push(content)
    } else {
      idle += 1
      if (idle > 32) return result('idle-records')
      if (type === 0x15 && content.length >= 2) {
        if (content[1] === 0) return result('close-notify')
        if (content[0] === 2) return result('fatal-alert')
      }
    }
    at += 5 + length
  }
  return result(null)
}

const record = (): fc.Arbitrary<Buffer> =>
  fc.oneof(
    { weight: 8, arbitrary: bytes(0, 60).map((payload) => encodeRecord(0x17, payload)) },
    { weight: 1, arbitrary: bytes(2000, 3000).map((payload) => encodeRecord(0x17, payload)) },
    { weight: 3, arbitrary: fc.constant(encodeRecord(0x14, Buffer.of(1))) },
    { weight: 2, arbitrary: fc.tuple(fc.nat(255), bytes(0, 9)).map(([type, p]) => encodeRecord(type, p)) },
    { weight: 1, arbitrary: bytes(0, 3).map((alert) => encodeRecord(0x15, alert)) },
    { weight: 1, arbitrary: fc.constantFrom(1, 31, 32, 33).map((n) => idleRecords(n)) },
    { weight: 1, arbitrary: bytes(1, 9) },
  )

function idleRecords(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => encodeRecord(0x14, Buffer.of(1))))
}

test('any stream, cut anywhere, decodes as it does in one piece by a decoder written from the text', () => {
  const streams = fc
    .array(record(), { maxLength: 25 })
    .map((records) => Buffer.concat(records))
    .chain((stream) => fc.tuple(fc.constant(stream), cuts(stream.length, 20)))
  fc.assert(
    fc.property(streams, ([stream, positions]) => {
      const expected = decodeNaively(stream)
      assert.deepEqual(decodeChunks(cutAt(stream, positions)), expected)
      assert.deepEqual(decodeChunks([stream]), expected)
    }),
    { numRuns: 500 },
  )
})

test('a stream decodes alike byte by byte and cut at every byte', () => {
  const stream = Buffer.concat([
    encodeRecord(0x14, Buffer.of(1)),
    encodeRecord(0x17, Buffer.from('hello')),
    encodeRecord(0x17, Buffer.alloc(0)),
    encodeRecord(0x16, Buffer.from('a ticket')),
    encodeRecord(0x15, Buffer.of(1, 90)),
    encodeRecord(0x17, Buffer.from(', world')),
    encodeRecord(0x15, Buffer.of(1, 0)),
    encodeRecord(0x17, Buffer.from('too late')),
  ])
  const expected: Decoded = { payload: Buffer.from('hello, world'), end: 'close-notify' }
  assert.deepEqual(decodeChunks(Array.from(stream, (byte) => Buffer.of(byte))), expected)
  for (let at = 0; at <= stream.length; at++) assert.deepEqual(decodeChunks(cutAt(stream, [at])), expected)
})

test('payload is handed on without waiting for the end of its record', () => {
  const decoder = new RecordDecoder()
  const wire = encodeRecord(0x17, Buffer.alloc(16_000, 1))
  assert.equal(decoder.decode(Buffer.from(wire.subarray(0, 105))), 100)
  assert.equal(decoder.decode(Buffer.from(wire.subarray(105))), 15_900)
})

test('records of any length up to 16640 are taken, a longer one ends the stream at its header', () => {
  for (const length of [0, 1, 16_384, 16_401, 16_640]) {
    const { payload, end } = decodeChunks([encodeRecord(0x17, Buffer.alloc(length, 1))])
    assert.deepEqual([payload.length, end], [length, null])
  }
  assert.deepEqual(decodeChunks([encodeRecord(0x17, Buffer.alloc(16_641, 1))]).end, 'record-length')
  assert.equal(decodeChunks([Buffer.of(0x16, 3, 3, 0xff, 0xff)]).end, 'record-length', 'whatever its type')
})

test('any version but 03 03 ends the stream', () => {
  for (const version of [0x0301, 0x0302, 0x0304, 0x0300, 0x0000, 0x0303 ^ 0x8000]) {
    const first = decodeChunks([encodeRecord(0x17, Buffer.from('x'), version)])
    assert.deepEqual(first, { payload: Buffer.alloc(0), end: 'record-version' })
    const later = Buffer.concat([
      encodeRecord(0x17, Buffer.from('a')),
      encodeRecord(0x17, Buffer.from('b'), version),
    ])
    assert.deepEqual(decodeChunks([later]), { payload: Buffer.from('a'), end: 'record-version' })
  }
})

test('close_notify and fatal alerts end the stream, other warnings do not', () => {
  const alert = (level: number, description: number): RecordEnd | null =>
    decodeChunks([encodeRecord(0x15, Buffer.of(level, description))]).end
  assert.equal(alert(1, 0), 'close-notify')
  assert.equal(alert(2, 0), 'close-notify')
  assert.equal(alert(2, 40), 'fatal-alert')
  assert.equal(alert(1, 90), null)
  assert.equal(decodeChunks([encodeRecord(0x15, Buffer.of(2))]).end, null)
})

test('half an alert is forgotten with its record', () => {
  const stream = Buffer.concat([encodeRecord(0x15, Buffer.of(2)), encodeRecord(0x15, Buffer.of(1, 90))])
  assert.equal(decodeChunks([stream]).end, null)
})

test('up to 32 records in a row may deliver no payload', () => {
  const data = encodeRecord(0x17, Buffer.from('data'))
  const patient = Buffer.concat([idleRecords(MAX_IDLE_RECORDS), data, idleRecords(MAX_IDLE_RECORDS), data])
  assert.deepEqual(decodeChunks([patient]), { payload: Buffer.from('datadata'), end: null })
  assert.equal(decodeChunks([idleRecords(MAX_IDLE_RECORDS + 1)]).end, 'idle-records')
  const after = decodeChunks([Buffer.concat([data, idleRecords(MAX_IDLE_RECORDS + 1), data])])
  assert.deepEqual(after, { payload: Buffer.from('data'), end: 'idle-records' })
})

test('empty application records count as records without payload', () => {
  const empty = encodeRecord(0x17, Buffer.alloc(0))
  const stream = Buffer.concat(Array.from({ length: 33 }, () => empty))
  assert.equal(decodeChunks([stream]).end, 'idle-records')
})

test('an ended stream stays ended and gives nothing more', () => {
  const decoder = new RecordDecoder()
  decoder.decode(encodeRecord(0x15, Buffer.of(1, 0)))
  assert.equal(decoder.decode(encodeRecord(0x17, Buffer.from('more'))), 0)
  assert.equal(decoder.end, 'close-notify')
})
