import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HelloDigest } from '#worker/fake-tls/authenticate'
import { HELLO_RANDOM_OFFSET } from '#worker/fake-tls/client-hello'
import { bytes, secretKey } from '../../support/generators.ts'

const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
/** wire.md §2.6 */
const KNOWN = Buffer.from(
  '16030100670100006303038f0b35ca835a0e427e20f71bb4cf40fe342e8975e7d84c810e343896929b3adf20' +
    '5a'.repeat(32) +
    '00065a5a130113020100001400000010000e00000b6578616d706c652e636f6d',
  'hex',
)
const unixTime = (): fc.Arbitrary<number> => fc.integer({ min: 0, max: 0xffff_ffff })

function digestOf(image: Buffer): HelloDigest {
  return new HelloDigest({ image, random: image.subarray(HELLO_RANDOM_OFFSET, HELLO_RANDOM_OFFSET + 32) })
}

/** wire.md §2.4, by the library's own HMAC. */
function sign(image: Buffer, key: Uint8Array, unixSeconds: number): Buffer {
  const signed = Buffer.from(image)
  signed.fill(0, 11, 43)
  const digest = createHmac('sha256', key).update(signed).digest()
  digest.copy(signed, 11)
  signed.writeUInt32LE((digest.readUInt32LE(28) ^ unixSeconds) >>> 0, 39)
  return signed
}

test('the known answer is verified and gives its time', () => {
  const digest = digestOf(KNOWN)
  assert.equal(digest.verify(KEY), 1_700_000_000)
  assert.equal(digest.verify(Buffer.alloc(16, 1)), null)
  assert.equal(digest.verify(KEY), 1_700_000_000, 'trying another key leaves nothing behind')
})

test('whatever was signed with a key by the standard HMAC is verified with it, whatever other keys were tried', () => {
  const cases = fc.tuple(bytes(43, 700), secretKey(), unixTime(), fc.array(secretKey(), { maxLength: 4 }))
  fc.assert(
    fc.property(cases, ([image, key, time, others]) => {
      const digest = digestOf(sign(image, key, time))
      for (const other of others) assert.equal(digest.verify(other), other.equals(key) ? time : null)
      assert.equal(digest.verify(key), time)
    }),
  )
})

test('a random that nobody signed is not verified', () => {
  fc.assert(
    fc.property(bytes(43, 300), secretKey(), (image, key) => {
      assert.equal(digestOf(image).verify(key), null)
    }),
  )
})

test('one changed bit anywhere spoils the signature, but those of the time, which change the time', () => {
  for (let bit = 0; bit < KNOWN.length * 8; bit++) {
    const changed = Buffer.from(KNOWN)
    const at = bit >> 3
    changed[at]! ^= 1 << (bit & 7) // inside by the loop's bounds
    const inTime = at >= 39 && at < 43
    const expected = inTime ? (1_700_000_000 ^ (1 << (bit - 39 * 8))) >>> 0 : null
    assert.equal(digestOf(changed).verify(KEY), expected, `bit ${bit}`)
  }
})

test('the hello is left as it was', () => {
  const image = Buffer.from(KNOWN)
  digestOf(image).verify(KEY)
  assert.deepEqual(image, KNOWN)
})
