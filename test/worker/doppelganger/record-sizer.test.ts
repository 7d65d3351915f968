import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { maxFramedBytes, RecordSizer } from '#worker/doppelganger/record-sizer'
import { fitRecordPayload } from '#worker/fake-tls/record'

const fraction = (): fc.Arbitrary<number> => fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((n) => n / 2 ** 32)

test('without DRS every record may have 16401 bytes', () => {
  const sizer = new RecordSizer(false, () => 0.5)
  assert.ok(sizer.isPlain)
  for (let i = 0; i < 100; i++) assert.equal(sizer.next(), 16_401)
})

test('with DRS 40 records of about 1400 bytes, 20 of about 4000, then full ones; again after a reset', () => {
  fc.assert(
    fc.property(fc.array(fraction(), { minLength: 60, maxLength: 60 }), (drawn) => {
      const values = drawn.values()
      const sizer = new RecordSizer(true, () => values.next().value ?? 0)
      for (let i = 1; i <= 60; i++) {
        assert.equal(sizer.isPlain, false)
        const top = i <= 40 ? 1450 : 4096
        const bytes = sizer.next()
        assert.ok(bytes > top - 100 && bytes <= top, `record ${i} has ${bytes} bytes`)
      }
      assert.ok(sizer.isPlain)
      assert.equal(sizer.next(), 16_401)
      sizer.reset()
      assert.equal(sizer.isPlain, false)
      assert.ok(sizer.next() <= 1450)
    }),
  )
})

test('any backlog, any record sizes: none above the limit, no tail of 1–16 bytes by a cut, and the room is enough', () => {
  const input = fc.record({
    backlog: fc.oneof(fc.integer({ min: 1, max: 400_000 }), fc.integer({ min: 16_385, max: 16_430 })),
    isDynamic: fc.boolean(),
    drawn: fc.array(fraction(), { minLength: 1, maxLength: 70 }),
  })
  fc.assert(
    fc.property(input, ({ backlog, isDynamic, drawn }) => {
      let draws = 0
      const sizer = new RecordSizer(isDynamic, () => drawn[draws++ % drawn.length] ?? 0)
      let left = backlog
      let records = 0
      while (left > 0) {
        const limit = sizer.next()
        const n = fitRecordPayload(left, limit)
        assert.ok(n >= 1 && n <= limit && n <= 16_401)
        left -= n
        records += 1
        assert.ok(left === 0 || left > 16, `a tail of ${left} bytes`)
      }
      assert.ok(backlog + 5 * records <= maxFramedBytes(backlog))
    }),
  )
})
