import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ByteQueue } from '#worker/doppelganger/byte-queue'
import { CountedSlots, patternBytes } from '../../support/socket-pair.ts'

test('bytes come out as they went in, whatever the pieces; an empty queue holds no slot', () => {
  const steps = fc.array(fc.record({ add: fc.nat({ max: 3000 }), take: fc.nat({ max: 3000 }) }), {
    maxLength: 40,
  })
  fc.assert(
    fc.property(steps, (given) => {
      const source = patternBytes(given.reduce((sum, { add }) => sum + add, 0))
      const slots = new CountedSlots()
      const queue = new ByteQueue(slots)
      const target = Buffer.alloc(source.length)
      let added = 0
      let taken = 0
      for (const { add, take } of given) {
        queue.append(source.subarray(added, added + add))
        added += add
        const n = Math.min(take, queue.length)
        queue.take(n, target, taken)
        taken += n
        assert.equal(queue.length, added - taken)
        if (queue.length === 0) assert.equal(slots.outstanding, 0)
      }
      assert.ok(target.subarray(0, taken).equals(source.subarray(0, taken)))
      assert.equal(queue.clear(), added - taken)
      assert.deepEqual([queue.length, slots.outstanding], [0, 0])
    }),
  )
})

test('many tiny pieces share their slots', () => {
  const slots = new CountedSlots()
  const queue = new ByteQueue(slots)
  for (let i = 0; i < 64 * 1024; i++) queue.append(Buffer.of(i & 0xff))
  assert.ok(slots.outstandingBytes <= 2 * 64 * 1024, `${slots.outstandingBytes} bytes for 64 KiB`)
})
