import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { endOf, startOf } from '#primary/quota/period'
import { QUOTA_PERIODS, type QuotaPeriod } from '#shared/config'

const at = (text: string): number => Date.parse(text)

const CASES: readonly (readonly [QuotaPeriod, string, string, string])[] = [
  ['day', '2026-03-29T00:59:59.999Z', '2026-03-29T00:00:00Z', '2026-03-30T00:00:00Z'],
  ['day', '2026-03-29T23:59:59.999Z', '2026-03-29T00:00:00Z', '2026-03-30T00:00:00Z'],
  ['week', '2026-11-25T12:00:00Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z'],
  ['week', '2026-11-29T23:59:59.999Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z'],
  ['week', '2026-11-30T00:00:00Z', '2026-11-30T00:00:00Z', '2026-12-07T00:00:00Z'],
  ['week', '2027-01-01T00:00:00Z', '2026-12-28T00:00:00Z', '2027-01-04T00:00:00Z'],
  ['week', '1970-01-01T00:00:00Z', '1969-12-29T00:00:00Z', '1970-01-05T00:00:00Z'],
  ['month', '2028-02-29T23:59:59.999Z', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z'],
  ['month', '2027-02-28T23:59:59.999Z', '2027-02-01T00:00:00Z', '2027-03-01T00:00:00Z'],
  ['month', '2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z'],
  ['month', '2026-01-31T00:00:00Z', '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z'],
]

for (const [period, now, start, end] of CASES) {
  test(`${now} is in the ${period} from ${start} to ${end}`, () => {
    assert.equal(startOf(period, at(now)), at(start))
    assert.equal(endOf(period, at(start)), at(end))
  })
}

test('periods follow one another without a gap, and each instant is in one', () => {
  const instant = fc.integer({ min: 0, max: at('2200-01-01T00:00:00Z') })
  fc.assert(
    fc.property(fc.constantFrom(...QUOTA_PERIODS), instant, (period, now) => {
      const start = startOf(period, now)
      const end = endOf(period, start)
      assert.ok(start <= now && now < end)
      assert.equal(startOf(period, start), start)
      if (period === 'total') return
      assert.equal(startOf(period, end), end)
      assert.equal(startOf(period, end - 1), start)
      const date = new Date(start)
      assert.equal(Math.abs(start % 86_400_000), 0, 'at midnight')
      if (period === 'week') assert.equal(date.getUTCDay(), 1)
      if (period === 'month') assert.equal(date.getUTCDate(), 1)
    }),
  )
})
