import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import { test } from 'node:test'

import * as fc from 'fast-check'
import { BugError, OperatorError } from '#shared/errors'
import {
  BUCKETS_START,
  entriesStart,
  ENTRY_CELLS,
  ENTRY_OLDER,
  HEAD,
  KEY,
  LOCK,
  numberRange,
  replayBytes,
  TAIL,
} from '#shared/state/replay-layout'
import { createReplayMemory, MIN_REPLAY_BYTES, ReplaySet, type ReplayMemory } from '#shared/state/replay-set'

import { dieBefore } from './die-before.ts'
import { numberedRandom } from './numbered-random.ts'

const hello = (number: number): Uint8Array => numberedRandom(new Uint8Array(32), 0, number)

/** Room for `capacity` hellos; `begin` is the number of the first. */
function smallMemory(capacity: number, begin = 0, key = 1): ReplayMemory {
  const buffer = new SharedArrayBuffer(replayBytes(capacity))
  const cells = new Int32Array(buffer)
  cells[HEAD] = begin
  cells[TAIL] = begin
  cells[KEY] = key
  return { buffer, capacity }
}

test('a hello is new once and a replay ever after, however late', () => {
  const set = new ReplaySet(createReplayMemory(0), 0)
  assert.equal(set.testAndAdd(hello(1), 11, 100), 'new')
  assert.equal(set.testAndAdd(hello(2), 11, 100.5), 'new')
  for (const now of [100, 110.999, 111, 100_000_000]) {
    assert.equal(set.testAndAdd(hello(1), 11, now), 'replay')
    assert.equal(set.testAndAdd(hello(2), 11, now), 'replay')
  }
  assert.equal(set.size, 2)
})

test('hellos that differ in one bit are different hellos', () => {
  const set = new ReplaySet(createReplayMemory(0), 0)
  const random = randomFillSync(new Uint8Array(32))
  assert.equal(set.testAndAdd(random, 11, 1), 'new')
  for (let bit = 0; bit < 256; bit++) {
    const other = random.slice()
    other[bit >> 3]! ^= 1 << (bit & 7) // inside: 256 bits
    assert.equal(set.testAndAdd(other, 11, 1), 'new')
    assert.equal(set.testAndAdd(other, 11, 1), 'replay')
  }
})

test('the view on a longer buffer, at any offset, is read as what it shows', () => {
  const set = new ReplaySet(createReplayMemory(0), 0)
  const image = randomFillSync(new Uint8Array(64))
  assert.equal(set.testAndAdd(image.subarray(11, 43), 11, 1), 'new')
  assert.equal(set.testAndAdd(image.slice(11, 43), 11, 1), 'replay')
  assert.throws(() => set.testAndAdd(image, 11, 1), BugError)
})

test('a full set loses its oldest hello, and counts it', () => {
  const set = new ReplaySet(smallMemory(4), 0)
  for (const number of [1, 2, 3, 4]) assert.equal(set.testAndAdd(hello(number), 100, 1), 'new')
  assert.equal(set.evictedEarly, 0)
  assert.equal(set.size, 4)
  assert.equal(set.testAndAdd(hello(5), 100, 1), 'new')
  assert.equal(set.evictedEarly, 1)
  assert.equal(set.size, 4)
  for (const number of [2, 3, 4, 5]) assert.equal(set.testAndAdd(hello(number), 100, 1), 'replay')
  assert.equal(set.testAndAdd(hello(1), 100, 1), 'new')
  assert.equal(set.evictedEarly, 2)
})

test('a full set loses the oldest; only one that leaves within its window counts as lost', () => {
  const set = new ReplaySet(smallMemory(100), 0)
  for (let number = 0; number < 100; number++) set.testAndAdd(hello(number), 10, 1)
  assert.equal(set.size, 100)
  for (let number = 100; number < 140; number++) assert.equal(set.testAndAdd(hello(number), 10, 11), 'new')
  assert.equal(set.evictedEarly, 0)
  assert.equal(set.size, 100)
  for (let number = 40; number < 140; number++) assert.equal(set.testAndAdd(hello(number), 10, 12), 'replay')
  for (let number = 200; number < 270; number++) set.testAndAdd(hello(number), 10, 12)
  assert.equal(set.evictedEarly, 10) // 60 were of second 1, these of second 11
})

test('the fill ratio counts those within their window, wherever in the ring they stand', () => {
  for (const begin of [0, numberRange(100) - 50]) {
    const set = new ReplaySet(smallMemory(100, begin), 0)
    assert.equal(set.fillRatio(1), 0)
    for (let number = 0; number < 40; number++) set.testAndAdd(hello(number), 10, 1)
    assert.equal(set.fillRatio(10.9), 0.4)
    assert.equal(set.fillRatio(11), 0)
    for (let number = 40; number < 90; number++) set.testAndAdd(hello(number), 10, 6)
    assert.equal(set.fillRatio(10.9), 0.9)
    assert.equal(set.fillRatio(11), 0.5)
    for (let number = 90; number < 300; number++) set.testAndAdd(hello(number), 10, 20)
    assert.equal(set.fillRatio(29), 1)
    assert.equal(set.fillRatio(30), 0)
  }
})

test('the size of the memory follows the setting and is never below 16 MiB', () => {
  assert.ok(createReplayMemory(1).capacity > 380_000)
  const { buffer, capacity } = createReplayMemory(64 * 1024 * 1024)
  assert.ok(capacity > 1_500_000)
  assert.ok(buffer.byteLength <= 64 * 1024 * 1024)
  assert.ok(createReplayMemory(MIN_REPLAY_BYTES).buffer.byteLength <= MIN_REPLAY_BYTES)
  assert.throws(() => createReplayMemory(2 ** 60), OperatorError)
})

test('300,000 random hellos in 16 MiB: none is taken for another, every replay is found', () => {
  const set = new ReplaySet(createReplayMemory(16 * 1024 * 1024), 0)
  const count = 300_000
  const randoms = randomFillSync(new Uint8Array(32 * count))
  for (const expected of ['new', 'replay']) {
    let others = 0
    for (let at = 0; at < randoms.length; at += 32) {
      if (set.testAndAdd(randoms.subarray(at, at + 32), 1000, 1) !== expected) others++
    }
    assert.equal(others, 0)
  }
  assert.equal(set.evictedEarly, 0)
  assert.equal(set.size, count)
})

test('a search ends wherever links from before the last time round may lead', () => {
  const capacity = 8
  for (let leadsTo = 0; leadsTo < 20; leadsTo++) {
    const memory = smallMemory(capacity)
    const set = new ReplaySet(memory, 0)
    for (let number = 0; number < 13; number++) set.testAndAdd(hello(number), 100, 1)
    const cells = new Int32Array(memory.buffer)
    const entries = entriesStart(capacity)
    // Every chain goes on to the same entry, in a circle if it can.
    for (let entry = 0; entry < capacity; entry++)
      cells[entries + entry * ENTRY_CELLS + ENTRY_OLDER] = leadsTo
    cells.fill(leadsTo, BUCKETS_START, BUCKETS_START + capacity)
    for (let number = 100; number < 108; number++) assert.equal(set.testAndAdd(hello(number), 100, 1), 'new')
  }
})

test('a thread that dies before any single write of an addition takes no other hello with it', () => {
  let deaths = 0
  // Many keys, so that the hellos share buckets in many ways.
  for (let key = 1; key <= 50; key++) {
    for (let writes = 0; ; writes++) {
      const memory = smallMemory(4, 0, key)
      const [victim, set] = [new ReplaySet(memory, 0), new ReplaySet(memory, 1)]
      for (let number = 0; number < 6; number++) set.testAndAdd(hello(number), 100, 1)
      if (!dieBefore(writes, () => victim.testAndAdd(hello(6), 100, 1))) break
      deaths++
      set.releaseDeadThread(0)
      for (const number of [3, 4, 5]) assert.equal(set.testAndAdd(hello(number), 100, 1), 'replay')
      set.testAndAdd(hello(6), 100, 1)
      for (const number of [5, 6]) assert.equal(set.testAndAdd(hello(number), 100, 1), 'replay')
      assert.equal(set.testAndAdd(hello(7), 100, 1), 'new')
      for (const number of [6, 7]) assert.equal(set.testAndAdd(hello(number), 100, 1), 'replay')
    }
  }
  assert.equal(deaths, 50 * 6)
})

type Death = 'nowhere' | 'in the lock' | 'while writing' | 'before linking'

/** Leave the memory as a thread leaves it that dies in the middle of adding a hello. */
function dieWhileAdding({ buffer, capacity }: ReplayMemory, thread: number, death: Death): void {
  const cells = new Int32Array(buffer)
  cells[LOCK] = thread + 1
  if (death === 'in the lock') return
  const range = numberRange(capacity)
  const next = (number = 0): number => (number + 1) % range
  const head = cells[HEAD] ?? 0
  const full = (head - (cells[TAIL] ?? 0) + range) % range === capacity
  if (full) cells[TAIL] = next(cells[TAIL])
  const entry = entriesStart(capacity) + (head % capacity) * ENTRY_CELLS
  cells.fill(0x5a5a5a5a, entry, entry + (death === 'while writing' ? ENTRY_CELLS - 3 : ENTRY_CELLS))
  if (death === 'before linking') cells[HEAD] = next(head)
}

test('whatever is added, whenever, and wherever threads die, the set says what a plain list says', () => {
  const step = fc.record({
    number: fc.nat(12),
    afterSeconds: fc.nat(3),
    windowSeconds: fc.integer({ min: 1, max: 9 }),
    death: fc.constantFrom<Death>(
      'nowhere',
      'nowhere',
      'nowhere',
      'in the lock',
      'while writing',
      'before linking',
    ),
  })
  const begins = fc.nat(20).map((before) => numberRange(5) - before)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.option(begins), fc.integer(), (steps, begin, key) => {
      const capacity = 5
      const memory = smallMemory(capacity, begin === null || begin === numberRange(5) ? 0 : begin, key)
      const sets = [new ReplaySet(memory, 0), new ReplaySet(memory, 1)]
      // Newest last. A hello that died half added holds a place, until the end of time.
      const list: { number: number; needed: number }[] = []
      let lost = 0
      let now = 1000
      for (const [at, { number, afterSeconds, windowSeconds, death }] of steps.entries()) {
        now += afterSeconds
        if (death !== 'nowhere') {
          dieWhileAdding(memory, 2, death)
          if (death !== 'in the lock' && list.length === capacity) list.shift()
          if (death === 'before linking') list.push({ number: -1, needed: Infinity })
          assert.ok(sets[0]?.releaseDeadThread(2))
        }
        const seen = list.some((entry) => entry.number === number)
        assert.equal(sets[at % 2]?.testAndAdd(hello(number), windowSeconds, now), seen ? 'replay' : 'new')
        if (seen) continue
        if (list.length === capacity && now < list.shift()!.needed) lost += 1 // it is full
        list.push({ number, needed: now + windowSeconds })
        assert.equal(sets[0]?.size, list.length)
        assert.equal(sets[0]?.evictedEarly, lost)
      }
    }),
    { numRuns: 1000 },
  )
})
