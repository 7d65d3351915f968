import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { generatePublicValue } from '#worker/fake-tls/public-value'
import { MAX_OUTBOUND_PAYLOAD_BYTES } from '#worker/fake-tls/record'
import {
  buildServerFlight,
  Group,
  SERVER_RANDOM_OFFSET,
  USUAL_EXTENSIONS,
} from '#worker/fake-tls/server-hello'
import { bytes, secretKey } from '../../support/generators.ts'

/** The records of a flight, by their headers alone. */
function listRecords(flight: Buffer): { type: number; version: number; payload: Buffer }[] {
  const records = []
  let at = 0
  while (at < flight.length) {
    const length = flight.readUInt16BE(at + 3)
    assert.ok(at + 5 + length <= flight.length, 'a record goes past the end')
    records.push({
      type: flight[at] ?? -1,
      version: flight.readUInt16BE(at + 1),
      payload: flight.subarray(at + 5, at + 5 + length),
    })
    at += 5 + length
  }
  return records
}

test('the known answer', () => {
  const flight = buildServerFlight({
    key: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'),
    clientRandom: Buffer.from('8f0b35ca835a0e427e20f71bb4cf40fe342e8975e7d84c810e343896929b3adf', 'hex'),
    sessionId: Buffer.alloc(32, 0x5a),
    cipherSuite: 0x1301,
    keyShare: { group: Group.X25519, key: Buffer.alloc(32, 0x42) },
    extensions: USUAL_EXTENSIONS,
    noise: Buffer.alloc(1000),
  })
  assert.equal(flight.length, 1138)
  assert.equal(
    flight.toString('hex', 0, 138),
    '160303007a020000760303' +
      '7dec180871932be1e6d3fc466c3e5f99405f56a6a602fba3d170edb11f5a85f0' +
      `20${'5a'.repeat(32)}1301` +
      `00002e002b0002030400330024001d0020${'42'.repeat(32)}` +
      '140303000101' +
      '17030303e8',
  )
  assert.deepEqual(flight.subarray(138), Buffer.alloc(1000))
  const before = Buffer.from(flight.buffer, 0, flight.byteOffset)
  assert.deepEqual(before, Buffer.alloc(before.length), 'nothing of the key is left in the memory before it')
})

test('every flight has exactly three records, is signed, and echoes session id and suite', () => {
  const input = fc.record({
    key: secretKey(),
    clientRandom: bytes(32),
    sessionId: bytes(0, 255),
    cipherSuite: fc.nat(0xffff),
    keyShare: fc.record({ group: fc.constant(Group.X25519), key: bytes(32) }),
    extensions: fc.constant(USUAL_EXTENSIONS),
    noise: fc.oneof(bytes(1, 3000), bytes(16_390, 16_410)),
  })
  fc.assert(
    fc.property(input, (given) => {
      const flight = buildServerFlight(given)
      const records = listRecords(flight)
      assert.deepEqual(
        records.map(({ type, version }) => [type, version]),
        [
          [0x16, 0x0303],
          [0x14, 0x0303],
          [0x17, 0x0303],
        ],
      )
      const [hello, change, noise] = records.map((record) => record.payload)
      assert.equal(hello?.readUInt32BE(0), 0x0200_0000 + hello!.length - 4)
      assert.deepEqual(hello?.subarray(39, 39 + given.sessionId.length), given.sessionId)
      assert.equal(hello?.readUInt16BE(39 + given.sessionId.length), given.cipherSuite)
      assert.deepEqual(hello?.subarray(-32), given.keyShare.key)
      assert.deepEqual(change, Buffer.of(1))
      assert.deepEqual(noise, given.noise.subarray(0, MAX_OUTBOUND_PAYLOAD_BYTES))

      const unsigned = Buffer.from(flight)
      unsigned.fill(0, SERVER_RANDOM_OFFSET, SERVER_RANDOM_OFFSET + 32)
      const digest = createHmac('sha256', given.key).update(given.clientRandom).update(unsigned).digest()
      assert.deepEqual(flight.subarray(SERVER_RANDOM_OFFSET, SERVER_RANDOM_OFFSET + 32), digest)
    }),
  )
})

test('with a session id of 32 bytes the first record has 127 bytes', () => {
  const flight = buildServerFlight({
    key: Buffer.alloc(16, 1),
    clientRandom: Buffer.alloc(32),
    sessionId: Buffer.alloc(32),
    cipherSuite: 0x1303,
    keyShare: { group: Group.X25519, key: Buffer.alloc(32) },
    extensions: USUAL_EXTENSIONS,
    noise: Buffer.alloc(1),
  })
  assert.equal(5 + (listRecords(flight)[0]?.payload.length ?? 0), 127)
})

test('more noise than a record may carry is cut, so that the third record still exists', () => {
  const flight = buildServerFlight({
    key: Buffer.alloc(16, 1),
    clientRandom: Buffer.alloc(32),
    sessionId: Buffer.alloc(0),
    cipherSuite: 0x1303,
    keyShare: { group: Group.X25519, key: Buffer.alloc(32) },
    extensions: USUAL_EXTENSIONS,
    noise: Buffer.alloc(60_000),
  })
  assert.deepEqual(
    listRecords(flight).map((record) => record.payload.length),
    [90, 1, 16_401],
  )
})

test('public values are 32 bytes, a new one each time, and points of Curve25519', () => {
  const values = Array.from({ length: 20 }, generatePublicValue)
  assert.equal(new Set(values.map((value) => value.toString('hex'))).size, values.length)
  for (const value of values) {
    assert.equal(value.length, 32)
    assert.ok(isOnCurve(value))
  }
  const random = Array.from({ length: 64 }, (_, index) => Buffer.alloc(32, index + 1))
  assert.ok(
    random.some((value) => !isOnCurve(value)),
    'the check tells points from other bytes',
  )
})

/** RFC 7748 §4.1: y² = x³ + 486662x² + x over 2^255 − 19 has a solution, by Euler's criterion. */
function isOnCurve(value: Buffer): boolean {
  const p = 2n ** 255n - 19n
  const x = BigInt(`0x${Buffer.from(value).reverse().toString('hex')}`) & (2n ** 255n - 1n)
  const square = (x * x * x + 486_662n * x * x + x) % p
  return square === 0n || power(square, (p - 1n) / 2n, p) === 1n
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  for (let b = base % modulus, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus) {
    if (e & 1n) result = (result * b) % modulus
  }
  return result
}
