import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { HelloDigest } from '#worker/fake-tls/authenticate'
import { searchFourKeys } from '#worker/key-search/four-keys'
import { KeyTable } from '#worker/key-search/key-table'
import { MAX_MESSAGE_BYTES } from '#worker/key-search/search-module'
import { bytes } from '../../support/generators.ts'
import type { Probe, Target } from '../target.ts'

/**
 * The search over four keys, by what HMAC says. An input is
 *
 *     u8 keys | u8 which of them signs, or none | u8 where the search begins | one byte for each key | the hello
 *
 * The set of keys and its table stay from one input to the next, so that lists grow, shrink and change.
 */
const HEADER_BYTES = 3
const MAX_KEYS = 24
/** The random of a hello ends there. */
const MIN_IMAGE_BYTES = 43
const RANDOM_OFFSET = 11

const inputs = fc
  .tuple(
    fc.nat(MAX_KEYS),
    fc.nat(MAX_KEYS + 2),
    fc.nat(MAX_KEYS),
    bytes(0, MAX_KEYS),
    fc.oneof(
      bytes(0, 700),
      fc
        .constantFrom(54, 55, 56, 63, 64, 119, 120, 517, 1800, 4095, 4096, 4097, 16_384)
        .chain((n) => bytes(n)),
    ),
  )
  .map(([keys, signer, from, names, hello]) => Buffer.concat([Buffer.of(keys, signer, from), names, hello]))

const keyOf = (name: number): Buffer => Buffer.alloc(16, name)

function openSearch(): Probe {
  const table = new KeyTable()
  const set = searchFourKeys(table).createSet()
  const group = table.allocate()
  const run = (input: Buffer): void => {
    const [count = 0, signer = 0, from = 0] = input
    const names = [...input.subarray(HEADER_BYTES, HEADER_BYTES + (count % (MAX_KEYS + 1)))]
    const image = Buffer.from(input.subarray(HEADER_BYTES + names.length))
    const key = keyOf(names[signer] ?? 0xfe)
    const before = table.byteLength
    if (image.length >= MIN_IMAGE_BYTES) {
      image.fill(0, RANDOM_OFFSET, MIN_IMAGE_BYTES)
      const hello = new HelloDigest({ image, random: createHmac('sha256', key).update(image).digest() })
      set.replace(names.map(keyOf))
      const signed = names.map((name) => keyOf(name).equals(key))
      const start = from % (MAX_KEYS + 1)
      assert.equal(set.find(hello, start, MAX_KEYS), signed.indexOf(true, start))
      const backwards = names.map((_, at) => at).toReversed()
      assert.equal(set.findAmong(hello, backwards), signed.lastIndexOf(true))
    }
    if (image.length <= MAX_MESSAGE_BYTES) {
      // Shorter than any hello as well.
      const firstWord = createHmac('sha256', key).update(image).digest().readInt32BE(0)
      table.setKeys(group, [keyOf(0xfd), key])
      assert.equal(table.match(group, { message: image, firstWord }) & 0b11, key[0] === 0xfd ? 0b11 : 0b10)
    }
    assert.equal(table.byteLength, before, 'so few keys need no more memory')
  }
  return { run, close: () => {} }
}

export const keySearch: Target = {
  name: 'key-search',
  inputs,
  dictionary: [Buffer.of(4, 3, 0, 1, 2, 3, 4), Buffer.of(5, 4, 4, 1, 1, 1, 1, 1), Buffer.of(0, 0, 0)],
  maxBytes: 20_000,
  limitMs: 100,
  open: openSearch,
}
