import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HEAD, numberRange, replayBytes, TAIL } from '#shared/state/replay-layout'
import { createReplayMemory, ReplaySet, type ReplayMemory } from '#shared/state/replay-set'
import { addTransferred, ReplayReader, TRANSFER_ENTRY_BYTES } from '#shared/state/replay-transfer'
import { numberedRandom } from './numbered-random.ts'

const WINDOW = 11
const hello = (number: number): Uint8Array => numberedRandom(new Uint8Array(32), 0, number)

function smallMemory(capacity: number, begin: number): ReplayMemory {
  const buffer = new SharedArrayBuffer(replayBytes(capacity))
  const cells = new Int32Array(buffer)
  cells[HEAD] = begin
  cells[TAIL] = begin
  return { buffer, capacity }
}

test('what one process has seen is a replay at the other, also when its window is over', () => {
  const from = createReplayMemory(0)
  const seen = new ReplaySet(from, 0)
  seen.testAndAdd(hello(1), WINDOW, 100)
  seen.testAndAdd(hello(2), WINDOW, 105)
  const memory = createReplayMemory(0)
  const to = new ReplaySet(memory, 3)
  const bytes = new ReplayReader(from, 100).read(100)
  addTransferred(to, bytes ?? assert.fail('nothing was read'), 112)
  assert.ok(to.fillRatio(112) > 0, 'the second one is still needed')
  assert.equal(to.fillRatio(116), 0)
  assert.equal(to.testAndAdd(hello(1), WINDOW, 112), 'replay')
  assert.equal(to.testAndAdd(hello(2), WINDOW, 112), 'replay')
  assert.equal(to.testAndAdd(hello(3), WINDOW, 112), 'new')
})

test('what was told is not told again, and of too many the newest are', () => {
  const memory = createReplayMemory(0)
  const set = new ReplaySet(memory, 0)
  const reader = new ReplayReader(memory, 10)
  assert.equal(reader.read(10), null)
  for (let number = 0; number < 5; number++) set.testAndAdd(hello(number), WINDOW, 100)
  assert.equal(reader.read(3)?.length, 3 * TRANSFER_ENTRY_BYTES)
  assert.equal(reader.read(3)?.length, 2 * TRANSFER_ENTRY_BYTES)
  assert.equal(reader.read(3), null)
  set.testAndAdd(hello(9), WINDOW, 111)
  reader.skip()
  assert.equal(reader.read(10), null)
  const other = new ReplaySet(createReplayMemory(0), 0)
  addTransferred(other, new ReplayReader(memory, 2).read(10) ?? assert.fail('nothing was read'), 111)
  assert.deepEqual([other.size, other.testAndAdd(hello(9), WINDOW, 111)], [2, 'replay'])
})

test('a set that wraps around and loses entries meanwhile is read without a gap in what is left', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.nat(30),
      fc.array(fc.record({ add: fc.nat(30), read: fc.integer({ min: 1, max: 30 }) }), { maxLength: 20 }),
      (capacity, beforeTheEnd, steps) => {
        const memory = smallMemory(capacity, numberRange(capacity) - 1 - beforeTheEnd)
        const set = new ReplaySet(memory, 0)
        const reader = new ReplayReader(memory, Infinity)
        const other = new ReplaySet(createReplayMemory(0), 0)
        let added = 0
        let got = 0
        for (const { add, read } of steps) {
          for (let count = 0; count < add; count++) set.testAndAdd(hello(added++), WINDOW, 1)
          const bytes = reader.read(read)
          if (bytes === null) continue
          got += bytes.length / TRANSFER_ENTRY_BYTES
          addTransferred(other, bytes, 1)
        }
        for (let bytes = reader.read(7); bytes !== null; bytes = reader.read(7)) {
          got += bytes.length / TRANSFER_ENTRY_BYTES
          addTransferred(other, bytes, 1)
        }
        assert.equal(other.size, got, 'each once')
        for (let number = Math.max(0, added - capacity); number < added; number++)
          assert.equal(other.testAndAdd(hello(number), WINDOW, 1), 'replay')
      },
    ),
    { numRuns: 30 },
  )
})

test('garbage in place of entries adds nothing that is not whole', () => {
  const set = new ReplaySet(createReplayMemory(0), 0)
  addTransferred(set, new Uint8Array(TRANSFER_ENTRY_BYTES - 1).fill(255), 1)
  addTransferred(set, new Uint8Array(TRANSFER_ENTRY_BYTES + 5), 1)
  assert.equal(set.size, 1)
})
