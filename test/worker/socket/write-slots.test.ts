import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { framedBytes, MAX_OUTBOUND_PAYLOAD_BYTES } from '#worker/fake-tls/record'
import { CLIENT_READ_BYTES, createReadBuffers, DC_READ_BYTES } from '#worker/socket/read-buffers'
import { WriteSlots } from '#worker/socket/write-slots'

const LARGEST_SLOT_BYTES = 258 * 1024

test('a slot has at least the bytes asked for, and at most four times as many above the smallest size', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 600_000 }), (bytes) => {
      const slot = new WriteSlots().take(bytes)
      assert.ok(slot.length >= bytes)
      assert.ok(slot.length <= Math.max(272, 4.2 * bytes))
    }),
  )
})

test('a full read with its record headers fits the largest slot', () => {
  const { client, dc } = createReadBuffers()
  assert.deepEqual([client.length, dc.length], [CLIENT_READ_BYTES, DC_READ_BYTES])
  assert.ok(framedBytes(DC_READ_BYTES) <= LARGEST_SLOT_BYTES)
  assert.equal(new WriteSlots().take(framedBytes(DC_READ_BYTES)).length, LARGEST_SLOT_BYTES)
})

test('one full record does not take a slot for several', () => {
  assert.ok(new WriteSlots().take(framedBytes(MAX_OUTBOUND_PAYLOAD_BYTES)).length < 20_000)
})

test('slots that came back are used again, never two at once', () => {
  const slots = new WriteSlots()
  const first = slots.take(5000)
  assert.notEqual(slots.take(5000), first)
  slots.giveBack(first)
  assert.equal(slots.take(16_000), first, 'any size of its class will do')
  assert.notEqual(slots.take(5000), first)
})

test('of what a burst leaves no more than 64 slots of a size are kept', () => {
  const slots = new WriteSlots()
  const burst = Array.from({ length: 200 }, () => slots.take(100))
  for (const slot of burst) slots.giveBack(slot)
  const again = Array.from({ length: 200 }, () => slots.take(100))
  const kept = new Set(burst)
  assert.equal(again.filter((slot) => kept.has(slot)).length, 64)
})

test('memory of another size is not taken for a slot', () => {
  const slots = new WriteSlots()
  const large = slots.take(LARGEST_SLOT_BYTES + 1)
  slots.giveBack(large)
  assert.notEqual(slots.take(LARGEST_SLOT_BYTES + 1), large)
})
