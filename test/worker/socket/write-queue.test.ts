import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { WriteQueue } from '#worker/socket/write-queue'

test('writes come out in the order they went in, with their slots and payload, however they overlap', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(100_000)), { maxLength: 300 }), (steps) => {
      const queue = new WriteQueue()
      const model: { slot: Buffer | null; bytes: number }[] = []
      for (const bytes of steps) {
        if (bytes !== null) {
          const slot = bytes % 3 === 0 ? null : Buffer.alloc(1)
          queue.push(slot, bytes)
          model.push({ slot, bytes })
        } else {
          assert.equal(queue.oldestPayloadBytes, model[0]?.bytes ?? 0)
          assert.equal(queue.shift(), model.shift()?.slot ?? null)
        }
        assert.equal(queue.length, model.length)
      }
    }),
  )
})
