import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { KeyTable, type SignedMessage } from '#worker/key-search/key-table'
import { AT, GROUP_BYTES, MAX_MESSAGE_BYTES, PAGE_BYTES } from '#worker/key-search/search-module'
import { findWebAssembly, type WasmMemory } from '#worker/key-search/web-assembly'
import { bytes } from '../../support/generators.ts'

const sign = (key: Uint8Array, message: Uint8Array): SignedMessage => ({
  message,
  firstWord: createHmac('sha256', key).update(message).digest().readInt32BE(0),
})

/** Around every border of a block, and now and then as long as it may be. */
const messages = (): fc.Arbitrary<Buffer> =>
  fc
    .oneof(
      { weight: 4, arbitrary: fc.nat(300) },
      fc.tuple(fc.nat(20), fc.integer({ min: -10, max: 2 })).map(([n, by]) => Math.max(0, 64 * n + by)),
      fc.nat(MAX_MESSAGE_BYTES),
      fc.constantFrom(517, 1800, MAX_MESSAGE_BYTES),
    )
    .chain((length) => bytes(length))

test('a digest begins as the HMAC of Node does, for any key and message, in each lane', () => {
  const table = new KeyTable()
  const group = table.allocate()
  const keys = fc.array(bytes(16), { minLength: 4, maxLength: 4 })
  fc.assert(
    fc.property(keys, messages(), bytes(16), (keys, message, stranger) => {
      table.setKeys(group, keys)
      const lanesOf = (key: Uint8Array): number =>
        keys.reduce((lanes, own, lane) => lanes | (Buffer.compare(own, key) === 0 ? 1 << lane : 0), 0)
      for (const key of [...keys, stranger])
        assert.equal(table.match(group, sign(key, message)), lanesOf(key))
    }),
    { numRuns: 150 },
  )
})

test('every length up to five blocks, and the longest', () => {
  const table = new KeyTable()
  const group = table.allocate()
  const key = Buffer.alloc(16, 0xc3)
  table.setKeys(group, [Buffer.alloc(16, 1), Buffer.alloc(16, 2), key])
  const lengths = [...Array(5 * 64 + 1).keys(), MAX_MESSAGE_BYTES - 1, MAX_MESSAGE_BYTES]
  for (const length of lengths) {
    const message = Buffer.alloc(length, 0x5a)
    assert.equal(table.match(group, sign(key, message)) & 0b111, 0b100, `${length} bytes`)
    assert.ok(table.canLoad(sign(key, message)))
  }
  assert.ok(!table.canLoad({ message: Buffer.alloc(MAX_MESSAGE_BYTES + 1), firstWord: 0 }))
})

test('keys that come from several groups are tried together', () => {
  const table = new KeyTable()
  const keys = Array.from({ length: 12 }, (_, n) => Buffer.alloc(16, n + 1))
  const groups = [0, 4, 8].map((from) => {
    const group = table.allocate()
    table.setKeys(group, keys.slice(from, from + 4))
    return group
  })
  const lanes = [11, 0, 6, 5].map((at) => ({ group: groups[at >> 2]!, lane: at % 4 }))
  const message = Buffer.from('some hello')
  assert.equal(table.matchLanes(lanes, sign(keys[6]!, message)), 0b100)
  assert.equal(table.matchLanes(lanes, sign(keys[1]!, message)), 0)
})

test('of keys only the midstates are kept', (t) => {
  const api = findWebAssembly()
  assert.ok(api)
  const { Memory: Original } = api
  const made: WasmMemory[] = []
  t.mock.method(api, 'Memory', function (sizes: { initial: number; maximum: number }) {
    const memory = new Original(sizes)
    made.push(memory)
    return memory
  })
  const table = new KeyTable()
  table.setKeys(
    table.allocate(),
    [1, 2, 3, 4].map((n) => Buffer.alloc(16, n)),
  )
  const [memory] = made
  assert.ok(memory)
  const place = Buffer.from(memory.buffer, AT.keys, 4 * 16)
  assert.deepEqual(place, Buffer.alloc(place.length))
})

test('two hellos that take turns do not disturb each other', () => {
  const table = new KeyTable()
  const group = table.allocate()
  const keys = [1, 2, 3, 4].map((n) => Buffer.alloc(16, n))
  table.setKeys(group, keys)
  const one = sign(keys[0]!, Buffer.alloc(517, 9))
  const other = sign(keys[3]!, Buffer.alloc(1800, 8))
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(table.match(group, one), 0b0001)
    assert.equal(table.match(group, other), 0b1000)
  }
})

test('it grows in steps up to its limit, and what is given back is empty and comes again', () => {
  const pages = AT.groups / PAGE_BYTES
  const table = new KeyTable(pages + 4)
  assert.equal(table.byteLength, (pages + 4) * PAGE_BYTES)
  const groups: number[] = []
  for (let group = table.allocate(); group !== 0; group = table.allocate()) groups.push(group)
  assert.equal(groups.length, (4 * PAGE_BYTES) / GROUP_BYTES - 1, 'one is kept for keys of several groups')
  assert.equal(table.byteLength, (pages + 4) * PAGE_BYTES)
  const key = Buffer.alloc(16, 7)
  const group = groups.at(-1)!
  table.setKeys(group, [key])
  const hello = sign(key, Buffer.alloc(100))
  assert.equal(table.match(group, hello) & 1, 1)
  table.release(group)
  assert.equal(table.match(group, hello) & 1, 0)
  assert.equal(table.allocate(), group)
  assert.equal(table.allocate(), 0)
})
