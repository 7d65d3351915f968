import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { takeWaterLevel } from '#shared/state/fair-share'

/** wire.md §12.1 to the letter, on names; null when nobody is capped. */
function capsByReference(conns: ReadonlyMap<string, number>, limit: number): Map<string, number> | null {
  const total = [...conns.values()].reduce((sum, count) => sum + count, 0)
  if (total <= limit) return null
  const rest = new Map(conns)
  let budget = limit
  for (;;) {
    const share = Math.trunc(budget / rest.size)
    const small = [...rest].filter(([, count]) => count <= share)
    if (small.length === 0) return new Map([...rest.keys()].map((name) => [name, share]))
    for (const [name, count] of small) {
      budget -= count
      rest.delete(name)
    }
  }
}

const level = (counts: readonly number[], limit: number): number =>
  takeWaterLevel(Int32Array.from(counts), counts.length, limit)

const named = (counts: readonly number[]): Map<string, number> =>
  new Map(counts.map((count, index) => [`user ${index}`, count]))

const examples = [
  { counts: [1, 1, 90, 110], limit: 100, caps: [null, null, 49, 49] },
  { counts: [5, 200], limit: 100, caps: [null, 95] },
  { counts: [100, 100], limit: 50, caps: [25, 25] },
  { counts: [0, 3, 4, 9], limit: 10, caps: [null, null, 3, 3] },
  { counts: [1, 1, 1], limit: 2, caps: [0, 0, 0] },
  { counts: [40, 60], limit: 100, caps: [null, null] },
  { counts: [], limit: 1, caps: [] },
] as const

for (const { counts, limit, caps } of examples) {
  test(`{${counts.join(', ')}} with a limit of ${limit}`, () => {
    const reached = level(counts, limit)
    assert.deepEqual(
      counts.map((count) => (count > reached ? reached : null)),
      caps,
    )
  })
}

const load = fc.record({
  counts: fc.array(fc.nat(40), { minLength: 1, maxLength: 12 }),
  limit: fc.integer({ min: 1, max: 150 }),
})

test('the level caps the same users at the same number as the reference', () => {
  fc.assert(
    fc.property(load, ({ counts, limit }) => {
      const reached = level(counts, limit)
      const expected = capsByReference(named(counts), limit)
      assert.deepEqual(
        counts.map((count) => (count > reached ? reached : undefined)),
        counts.map((_, index) => expected?.get(`user ${index}`)),
      )
    }),
    { numRuns: 2_000 },
  )
})

test('the level is the highest that keeps within the limit, in whatever order the users come', () => {
  fc.assert(
    fc.property(load, ({ counts, limit }) => {
      const reached = level(counts, limit)
      const cut = (at: number): number => counts.reduce((sum, count) => sum + Math.min(count, at), 0)
      assert.ok(cut(reached) <= limit)
      if (reached < Infinity) assert.ok(cut(reached + 1) > limit)
      assert.equal(
        level(
          counts.toSorted((a, b) => a - b),
          limit,
        ),
        reached,
      )
      assert.equal(level(counts.toReversed(), limit), reached)
      assert.equal(level([...counts, 0, 0], limit), reached, 'users without connections change nothing')
    }),
    { numRuns: 2_000 },
  )
})

test('who holds no more than an equal part is never capped', () => {
  fc.assert(
    fc.property(load, ({ counts, limit }) => {
      const equalPart = Math.trunc(limit / counts.length)
      const reached = level(counts, limit)
      for (const count of counts) if (count <= equalPart) assert.ok(count <= reached)
    }),
  )
})

test('what is cut to the level is left alone the next time', () => {
  fc.assert(
    fc.property(load, ({ counts, limit }) => {
      const reached = level(counts, limit)
      assert.equal(
        level(
          counts.map((count) => Math.min(count, reached)),
          limit,
        ),
        Infinity,
      )
    }),
  )
})

test('one level serves every user: decision O14 with the request of whoever asks', () => {
  fc.assert(
    fc.property(load, fc.nat(11), ({ counts, limit }, pick) => {
      const asking = pick % counts.length
      const live = counts[asking] ?? 0
      const withRequest = counts.map((count, index) => (index === asking ? count + 1 : count))
      const caps = capsByReference(named(withRequest), limit)
      const asked = live < Math.max(1, caps?.get(`user ${asking}`) ?? Infinity)
      assert.equal(live < Math.max(1, level(counts, limit - 1)), asked)
    }),
    { numRuns: 3_000 },
  )
})
