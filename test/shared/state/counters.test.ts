import assert from 'node:assert/strict'
import { test } from 'node:test'

import { BugError } from '#shared/errors'
import { takePlace, CounterRow, CounterSums, createCountersMemory, leavePlace } from '#shared/state/counters'
import { dcSlot, slot, SLOT_COUNT } from '#shared/state/layout'

import { TestThread } from './run-thread.ts'

const REPLAYS = slot('replay_attacks')
const CLIENTS = slot('client_connections', { ip_family: 'ipv4' })

const idle = { slot: REPLAYS, step: 1, limit: 0, turns: 0, inside: new SharedArrayBuffer(12) }

test('what threads count is summed once they have published it', () => {
  const memory = createCountersMemory(2)
  const rows = [0, 1, 2].map((at) => new CounterRow(memory, at))
  const sums = new CounterSums(memory)
  const last = dcSlot('telegram_traffic', 255, 'from_client')
  for (const row of rows) {
    row.add(REPLAYS, 2)
    row.add(last, 5_000_000_000)
  }
  assert.equal(sums.sum(REPLAYS), 0)
  for (const row of rows) row.publish()
  assert.equal(sums.sum(REPLAYS), 6)
  rows[0]?.add(REPLAYS, 1)
  rows[0]?.publish()
  assert.equal(sums.sum(REPLAYS), 7)

  const all = sums.readAll()
  assert.equal(all.length, SLOT_COUNT)
  assert.equal(all[last], 15_000_000_000)
  assert.equal(
    all.reduce((sum, value) => sum + value, 0),
    15_000_000_007,
  )
})

test('a dead thread leaves its counters but no connections', () => {
  const memory = createCountersMemory(2)
  const sums = new CounterSums(memory)
  const survivor = new CounterRow(memory, 1)
  survivor.add(CLIENTS, 1)
  survivor.publish()
  for (let life = 1; life <= 3; life++) {
    const row = new CounterRow(memory, 0)
    row.add(REPLAYS, 10)
    row.add(CLIENTS, 4)
    row.publish()
    row.addClosed()
    assert.equal(sums.sum(CLIENTS), 5)
    assert.equal(sums.closed(0), 1)
    sums.retire(0)
    assert.equal(sums.sum(REPLAYS), 10 * life)
    assert.equal(sums.sum(CLIENTS), 1)
    assert.equal(sums.closed(0), 0)
  }
})

test('a number of 64 bits is never seen half written', async () => {
  const memory = createCountersMemory(1)
  const sums = new CounterSums(memory)
  // Each step changes both halves, so a mixture of two values is no multiple of the step.
  const step = 0x1_0000_0001
  const thread = new TestThread('./counters-thread.ts', {
    ...idle,
    memory,
    row: 0,
    work: 'count',
    step,
    turns: 30_000,
  })
  const state = { done: false }
  const message = thread.message().then(() => (state.done = true))
  let looks = 0
  let before = 0
  while (!state.done) {
    for (let burst = 0; burst < 200; burst++) {
      const value = sums.sum(REPLAYS)
      assert.equal(value % step, 0)
      assert.ok(value >= before)
      before = value
      looks++
    }
    await new Promise(setImmediate)
  }
  await message
  assert.ok(looks > 200)
  assert.equal(sums.sum(REPLAYS), 30_000 * step)
  await thread.exit()
})

test('an ended connection is seen by the primary at once', async () => {
  const memory = createCountersMemory(2)
  const thread = new TestThread('./counters-thread.ts', {
    ...idle,
    memory,
    row: 1,
    work: 'close',
    turns: 1234,
  })
  await thread.message()
  const sums = new CounterSums(memory)
  assert.equal(sums.closed(1), 1234)
  assert.equal(sums.closed(0), 0)
  await thread.exit()
})

test('the limit of fronted connections holds over all threads', async () => {
  const memory = createCountersMemory(4)
  const limit = 2
  const inside = new SharedArrayBuffer(12)
  const threads = [0, 1, 2, 3].map(
    (row) =>
      new TestThread('./counters-thread.ts', {
        ...idle,
        memory,
        row,
        work: 'front',
        limit,
        turns: 50_000,
        inside,
      }),
  )
  await Promise.all(threads.map((thread) => thread.message()))
  const [now, tooMany, admitted] = new Int32Array(inside)
  assert.equal(now, 0)
  assert.equal(tooMany, 0)
  assert.ok(admitted !== undefined && admitted > 50_000)
  // Nothing was lost or left over: exactly `limit` places are free.
  assert.deepEqual(
    [0, 1, 2].map((row) => takePlace(memory, 'fronting', row, limit)),
    [true, true, false],
  )
  await Promise.all(threads.map((thread) => thread.exit()))
})

test('the fronting places of a dead thread are given back', () => {
  const memory = createCountersMemory(2)
  const sums = new CounterSums(memory)
  assert.ok(takePlace(memory, 'fronting', 0, 2))
  assert.ok(takePlace(memory, 'fronting', 1, 2))
  assert.ok(!takePlace(memory, 'fronting', 1, 2))
  sums.retire(0)
  assert.ok(takePlace(memory, 'fronting', 1, 2))
  assert.ok(!takePlace(memory, 'fronting', 0, 2))
  leavePlace(memory, 'fronting', 1)
  assert.ok(takePlace(memory, 'fronting', 0, 2))
  assert.ok(!takePlace(memory, 'fronting', 0, 0))
})

test('a row that does not exist is a bug', () => {
  const memory = createCountersMemory(2)
  for (const row of [-1, 3, 0.5]) {
    assert.throws(() => new CounterRow(memory, row), BugError)
    assert.throws(() => new CounterSums(memory).retire(row), BugError)
    assert.throws(() => takePlace(memory, 'fronting', row, 5), BugError)
  }
})
