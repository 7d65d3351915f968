import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HelloDigest } from '#worker/fake-tls/authenticate'
import { searchFourKeys } from '#worker/key-search/four-keys'
import { keyByKey } from '#worker/key-search/key-by-key'
import type { KeySearch } from '#worker/key-search/key-search'
import { KeyTable } from '#worker/key-search/key-table'
import { AT, MAX_MESSAGE_BYTES, PAGE_BYTES } from '#worker/key-search/search-module'
import { chooseKeySearch } from '#worker/key-search/self-test'

const keyOf = (n: number): Buffer => {
  const key = Buffer.alloc(16, 0xaa)
  key.writeUInt32BE(n)
  return key
}

function helloBy(key: Uint8Array, bytes = 517): HelloDigest {
  const image = Buffer.alloc(bytes, 0x3c)
  image.fill(0, 11, 43)
  return new HelloDigest({ image, random: createHmac('sha256', key).update(image).digest() })
}

/** A table that has no room left, so that some groups are never in it. */
function createFullTable(): KeyTable {
  const table = new KeyTable(AT.groups / PAGE_BYTES + 4)
  let room = 0
  while (table.allocate() !== 0) room += 1
  assert.ok(room > 1000)
  return table
}

const SEARCHES: Readonly<Record<string, () => KeySearch>> = {
  'key by key': () => keyByKey,
  'four keys': () => searchFourKeys(new KeyTable()),
  'four keys, the table full': () => searchFourKeys(createFullTable()),
}

for (const [name, create] of Object.entries(SEARCHES)) {
  test(`${name}: the first key that signed it is found at its place, in any part of the list`, () => {
    const search = create()
    const cases = fc.tuple(
      fc.array(fc.nat(20), { minLength: 1, maxLength: 14 }),
      fc.nat(20),
      fc.nat(15),
      fc.nat(15),
      fc.array(fc.nat(13), { maxLength: 9 }),
    )
    const set = search.createSet()
    fc.assert(
      fc.property(cases, ([numbers, wanted, from, to, asked]) => {
        set.replace(numbers.map(keyOf))
        const hello = helloBy(keyOf(wanted))
        const expected = numbers.findIndex((n, at) => n === wanted && at >= from && at < to)
        assert.equal(set.find(hello, from, to), expected)
        assert.equal(hello.unixSeconds !== null, expected >= 0)
        const positions = asked.filter((at) => at < numbers.length)
        const among = positions.find((at) => numbers[at] === wanted) ?? -1
        assert.equal(set.findAmong(helloBy(keyOf(wanted)), positions), among)
      }),
    )
  })

  test(`${name}: a list that shrinks, grows and changes finds what it has now`, () => {
    const search = create()
    const set = search.createSet()
    const neighbour = search.createSet()
    neighbour.replace([keyOf(77), keyOf(78)])
    for (const numbers of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 4, 5], [], [9, 8, 7], [9, 1, 7, 3, 2]]) {
      set.replace(numbers.map(keyOf))
      for (let n = 0; n < 10; n++) assert.equal(set.find(helloBy(keyOf(n)), 0, 20), numbers.indexOf(n))
      assert.equal(neighbour.find(helloBy(keyOf(78)), 0, 2), 1)
    }
  })

  test(`${name}: a hello of which only the first word fits is nobody's`, () => {
    const set = create().createSet()
    set.replace([1, 2, 3].map(keyOf))
    const image = Buffer.alloc(200, 1)
    image.fill(0, 11, 43)
    const random = createHmac('sha256', keyOf(2)).update(image).digest()
    random[27]! ^= 1
    const hello = new HelloDigest({ image, random })
    assert.equal(set.find(hello, 0, 3), -1)
    assert.equal(set.findAmong(hello, [2, 1, 0]), -1)
  })
}

test('a hello that is longer than the table takes is searched for key by key', () => {
  const set = searchFourKeys(new KeyTable()).createSet()
  set.replace([1, 2, 3].map(keyOf))
  const hello = helloBy(keyOf(3), MAX_MESSAGE_BYTES + 1)
  assert.equal(set.find(hello, 0, 3), 2)
  assert.equal(set.findAmong(hello, [0, 2]), 2)
})

test('keys that are gone give their place in the table back, however often all of them change', () => {
  const table = new KeyTable()
  const set = searchFourKeys(table).createSet()
  const stranger = helloBy(keyOf(0))
  const sizes = [1, 2, 3, 4].map((turn) => {
    set.replace(Array.from({ length: 4000 }, (_, n) => keyOf(turn * 10_000 + n)))
    assert.equal(set.find(stranger, 0, 4000), -1)
    set.replace([])
    return table.byteLength
  })
  assert.deepEqual(new Set(sizes).size, 1, `it grew: ${sizes.join(', ')} bytes`)
})

test('this Node searches four keys at once', () => {
  assert.equal(chooseKeySearch().reason, null)
})

test('without WebAssembly, or with one that is wrong, keys are tried one by one', () => {
  const missing = chooseKeySearch(() => {
    throw new Error('this Node has no WebAssembly')
  })
  assert.deepEqual(missing, { search: keyByKey, reason: 'Error: this Node has no WebAssembly' })

  class WrongTable extends KeyTable {
    override match(group: number, hello: HelloDigest): number {
      return super.match(group, hello) & 0b0111
    }
  }
  const wrong = chooseKeySearch(() => new WrongTable())
  assert.deepEqual(wrong, { search: keyByKey, reason: 'the WebAssembly search is wrong here' })
})
