import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  fitRecordPayload,
  framedBytes,
  frameRecords,
  MAX_OUTBOUND_PAYLOAD_BYTES,
  RecordType,
  writeRecordHeader,
} from '#worker/fake-tls/record'
import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import { encodeRecord } from '../../support/generators.ts'

const LARGEST_BACKLOG = 600_000
/** Differs at every offset that records could be mixed up by. */
const PATTERN = Buffer.from(
  Uint32Array.from({ length: LARGEST_BACKLOG / 4 + 64 }, (_, index) => index * 0x9e3779b1).buffer,
)

/** Payload sizes of the records that a backlog is cut into. */
function listCuts(backlogBytes: number): number[] {
  const sizes = []
  for (let left = backlogBytes; left > 0; left -= sizes.at(-1) ?? 0) sizes.push(fitRecordPayload(left))
  return sizes
}

function assertCutWell(backlogBytes: number): void {
  const sizes = listCuts(backlogBytes)
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    backlogBytes,
  )
  assert.ok(Math.max(...sizes) <= MAX_OUTBOUND_PAYLOAD_BYTES, `${backlogBytes}: a record is too large`)
  if (sizes.length > 1) assert.ok(Math.min(...sizes) >= 17, `${backlogBytes}: a tail of ${sizes.at(-1)}`)
  assert.equal(framedBytes(backlogBytes), backlogBytes + 5 * sizes.length)
}

test('a record header is type, 03 03 and length', () => {
  const target = Buffer.alloc(12, 0xff)
  writeRecordHeader(target, 3, RecordType.ApplicationData, 0x4011)
  assert.equal(target.toString('hex'), `${'ff'.repeat(3)}1703034011${'ff'.repeat(4)}`)
})

test('no cut leaves a tail that TLS 1.3 could not send, none is above 16401, at every edge', () => {
  for (let records = 1; records <= 36; records++) {
    for (let delta = -40; delta <= 40; delta++) {
      const backlog = records * MAX_OUTBOUND_PAYLOAD_BYTES + delta
      if (backlog <= LARGEST_BACKLOG) assertCutWell(backlog)
    }
  }
  for (let backlog = 1; backlog < 100; backlog++) assertCutWell(backlog)
})

test('no cut leaves a tail that TLS 1.3 could not send, at any size', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: LARGEST_BACKLOG }), assertCutWell), { numRuns: 5000 })
})

test('what arrives alone is sent alone, whatever its length', () => {
  for (const bytes of [1, 16, 17, 1448, MAX_OUTBOUND_PAYLOAD_BYTES]) {
    assert.deepEqual(listCuts(bytes), [bytes])
  }
})

test('what is framed into a buffer of framedBytes is what the decoder takes out', () => {
  const sizes = fc.oneof(
    fc.integer({ min: 1, max: LARGEST_BACKLOG }),
    fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: -20, max: 20 }))
      .map(([n, d]) => n * 16_401 + d),
  )
  fc.assert(
    fc.property(sizes, fc.nat(255), (bytes, seed) => {
      const payload = PATTERN.subarray(seed, seed + bytes)
      const target = Buffer.alloc(framedBytes(bytes) + 8, 0xee)
      const written = frameRecords(target, payload)
      assert.equal(written, framedBytes(bytes))
      assert.ok(target.subarray(written).equals(Buffer.alloc(8, 0xee)), 'nothing is written behind')
      const decoder = new RecordDecoder()
      const wire = target.subarray(0, written)
      // The decoder takes no record above 16640, so this also tells that lengths are honest.
      const decoded = decoder.decode(wire)
      assert.equal(decoder.end, null)
      assert.ok(wire.subarray(0, decoded).equals(payload))
    }),
    { numRuns: 60 },
  )
})

test('one short payload is framed to the byte', () => {
  const target = Buffer.alloc(framedBytes(4))
  assert.equal(frameRecords(target, Buffer.from('ping')), 9)
  assert.deepEqual(target, encodeRecord(0x17, Buffer.from('ping')))
  assert.equal(frameRecords(target, Buffer.alloc(0)), 0)
  assert.equal(framedBytes(0), 0)
})
