import assert from 'node:assert/strict'
import { test } from 'node:test'

import { countEdits, findNearest } from '#primary/config/nearest'
import * as fc from 'fast-check'

const KEYS = [
  'debug',
  'secret',
  'secrets',
  'bind-to',
  'api-bind-to',
  'concurrency',
  'domain-fronting',
  'public-ipv4',
  'dc',
]

test('slips of the finger find the key that was meant', () => {
  const slips: readonly (readonly [string, string])[] = [
    ['domain-frontng', 'domain-fronting'],
    ['concurency', 'concurrency'],
    ['bind_to', 'bind-to'],
    ['bindTo', 'bind-to'],
    ['publicIpv4', 'public-ipv4'],
    ['api-bindto', 'api-bind-to'],
    ['SECRET', 'secret'],
    ['deubg', 'debug'],
  ]
  for (const [typed, meant] of slips) assert.equal(findNearest(typed, KEYS), meant, typed)
})

test('what resembles nothing gets no advice', () => {
  for (const word of ['', 'x', 'quota', 'max-users', 'a'.repeat(1000)])
    assert.equal(findNearest(word, KEYS), undefined, word)
})

test('words that are longer than any key are not looked at', () => {
  const key = 'k'.repeat(64)
  assert.equal(findNearest(`${key.slice(1)}x`, [key]), key)
  assert.equal(findNearest(`${key}x`, [key]), undefined)
})

test('edit distances are symmetric, zero for equals, and one for a swap of neighbours', () => {
  const word = fc.string({ maxLength: 12, unit: fc.constantFrom('a', 'b', 'c', '-') })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = countEdits(a, b)
      assert.equal(distance, countEdits(b, a))
      assert.equal(distance === 0, a === b)
      assert.ok(distance >= Math.abs(a.length - b.length) && distance <= Math.max(a.length, b.length))
    }),
  )
  assert.equal(countEdits('tpc', 'tcp'), 1)
  assert.equal(countEdits('kitten', 'sitting'), 3)
})
