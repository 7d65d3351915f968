import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOTHING, type Totals } from '#primary/state-file/totals'
import { UserTotals } from '#primary/user-totals'

const seen = (lastSeenMs: number): Totals => ({ bytesIn: 1, bytesOut: 2, lastSeenMs })

test('who comes back finds the old totals; where nothing is remembered, nothing', () => {
  for (const [remembers, bytesIn] of [
    [true, 11],
    [false, 10],
  ] as const) {
    const totals = new UserTotals(remembers)
    totals.leave('anna', seen(5))
    assert.equal(totals.total('anna', { ...NOTHING, bytesIn: 10 }).bytesIn, bytesIn)
  }
})

test('of those who are in no configuration any more 10,000 are kept, those seen last', () => {
  const totals = new UserTotals(true)
  for (let at = 0; at < 10_001; at++) totals.leave(`user-${at}`, seen(20_000 - at))
  totals.leave('anna', seen(1))
  const all = totals.listAll(new Map([['anna', NOTHING]]))
  assert.equal(all.size, 10_001, 'anna, who is there, and 10,000 who are not')
  assert.deepEqual(all.get('anna'), seen(1))
  assert.equal(all.has('user-9999'), true)
  assert.equal(all.has('user-10000'), false)
  assert.deepEqual(totals.total('user-10000', NOTHING), NOTHING)
})
