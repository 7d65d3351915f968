import assert from 'node:assert/strict'
import { test } from 'node:test'

import { halfSipHash13 } from '#shared/state/half-sip-hash'

const words = (bytes: Uint8Array): Int32Array => new Int32Array(bytes.slice().buffer)
const counting = Uint8Array.from({ length: 32 }, (_, at) => at)

test('HalfSipHash-1-3 gives the published value for the bytes 0…31 under the key 0…7', () => {
  assert.equal(halfSipHash13(0x03020100, 0x07060504, words(counting)), 0xbc6dda8d)
})

test('every input bit and every key bit changes the hash', () => {
  const before = halfSipHash13(1, 2, words(counting))
  for (let bit = 0; bit < 256; bit++) {
    const changed = counting.slice()
    changed[bit >> 3]! ^= 1 << (bit & 7) // inside: 256 bits
    assert.notEqual(halfSipHash13(1, 2, words(changed)), before)
  }
  for (let bit = 0; bit < 32; bit++) {
    assert.notEqual(halfSipHash13(1 ^ (1 << bit), 2, words(counting)), before)
    assert.notEqual(halfSipHash13(1, 2 ^ (1 << bit), words(counting)), before)
  }
})
