import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pulse } from '#primary/pulse'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'

test('silence is counted in looks, and a single publication ends it', () => {
  const memory = createCountersMemory(2)
  const row = new CounterRow(memory, 1)
  const pulse = new Pulse(() => new CounterSums(memory).beats(1))
  assert.equal(pulse.count(), 1)
  assert.equal(pulse.count(), 2)
  row.publish()
  assert.equal(pulse.count(), 0)
  assert.equal(pulse.count(), 1)
  new CounterRow(memory, 0).publish() // another thread's life says nothing of this one
  assert.equal(pulse.count(), 2)
  assert.equal(pulse.silentTicks, 2)
})

test('the next thread in the place begins with nothing held against it', () => {
  const memory = createCountersMemory(1)
  const sums = new CounterSums(memory)
  const pulse = new Pulse(() => sums.beats(0))
  for (let look = 0; look < 5; look++) pulse.count()
  sums.retire(0)
  pulse.begin()
  assert.equal(pulse.silentTicks, 0)
  assert.equal(pulse.count(), 1)
  new CounterRow(memory, 0).publish()
  assert.equal(pulse.count(), 0)
})
