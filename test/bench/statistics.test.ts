import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { median, quantile, round, spread, spreadOfRatios } from '../../bench/support/statistics.ts'

const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 })

test('a quantile lies between values of its share, whatever their order', () => {
  assert.equal(quantile([3, 1, 2], 0), 1)
  assert.equal(quantile([3, 1, 2], 1), 3)
  assert.equal(quantile([10, 20], 0.25), 12.5)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  assert.ok(Number.isNaN(median([])))
  fc.assert(
    fc.property(numbers, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const found = quantile(values, share)
      const below = values.filter((value) => value < found).length
      const notAbove = values.filter((value) => value <= found).length
      const at = share * (values.length - 1)
      assert.ok(below <= Math.ceil(at) && notAbove >= Math.floor(at) + (Number.isInteger(at) ? 1 : 0))
      assert.equal(quantile(values.toReversed(), share), found)
    }),
  )
})

test('ratios are of pairs: what slowed both halves of one does not show', () => {
  assert.deepEqual(spreadOfRatios([2, 40, 6], [1, 20, 3]), { min: 2, median: 2, max: 2 })
  assert.deepEqual(spreadOfRatios([1, 3, 2], [1, 1, 1]), spread([3, 2, 1]))
})

test('numbers are shown as exactly as they are known', () => {
  assert.equal(round(1234.56), 1235)
  assert.equal(round(0.000123456), 0.0001235)
})
