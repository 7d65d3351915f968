import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { RecordReader } from '../../bench/support/record-reader.ts'
import { findInsane } from '../../bench/support/sanity.ts'
import { findMedians, findRatios, findSpreads, type Series } from '../../bench/support/series.ts'
import { judge } from '../../bench/support/verdict.ts'
import { buildRecords } from '../support/faketls-client.ts'

const series = (subject: string, cpu: readonly number[]): Series => ({
  subject,
  secretCount: 1,
  runs: cpu.map((value) => ({ cpu: value, constant: 1 })),
})

test('figures of runs: medians, spreads, and ratios of what ran in turn', () => {
  const [base, changed] = [series('a', [1, 2, 4]), series('b', [2, 2, 8])]
  assert.deepEqual(findMedians(base), { cpu: 2, constant: 1 })
  assert.deepEqual(findSpreads(base)['cpu'], { min: 1, median: 2, max: 4 })
  assert.deepEqual(findRatios(base, changed), {
    cpu: { min: 1, median: 2, max: 2 },
    constant: { min: 1, median: 1, max: 1 },
  })
})

test('a revision is worse when the median of its ratios is above the limit, or not known', () => {
  const verdict = (median: number): boolean => judge('t', 'f', { min: 0.1, median, max: 9 }, 1.25).isWorse
  assert.deepEqual([verdict(1.25), verdict(1.26), verdict(Number.NaN)], [false, true, true])
  assert.equal(judge('t', 'f', undefined, 1.25).isWorse, true)
})

test('a bench has to print figures, and such as can be', () => {
  assert.equal(findInsane('words\n{"figures":[{"name":"x","nsPerCall":3}]}\n'), null)
  assert.match(findInsane('words') ?? '', /not JSON/)
  assert.match(findInsane('{"series":[1]}') ?? '', /no figures/)
  assert.match(
    findInsane('{"series":[{"figures":{"cpu":{"median":null}}}]}') ?? '',
    /series.0.figures.cpu.median/,
  )
  assert.match(findInsane('{"figures":{"cpu":0}}') ?? '', /zero/)
})

test('records are read however they are cut, and what is none is not', () => {
  const payloads = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(payloads, fc.integer({ min: 1, max: 60 }), (parts, chunkBytes) => {
      const wire = Buffer.concat(parts.map((part) => buildRecords(Buffer.from(part), 16)))
      const read: Buffer[] = []
      const reader = new RecordReader((payload) => read.push(Buffer.from(payload)))
      for (let at = 0; at < wire.length; at += chunkBytes) reader.take(wire.subarray(at, at + chunkBytes))
      assert.deepEqual(Buffer.concat(read), Buffer.concat(parts))
    }),
  )
  const take = (hex: string) => (): void => new RecordReader(() => {}).take(Buffer.from(hex, 'hex'))
  for (const hex of ['1503030002', '1703020002', '1703030000', '1703034101'])
    assert.throws(take(hex), /header/)
  take('1703034100')()
})
