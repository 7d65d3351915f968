import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collectAmounts, requireWhole } from '../../bench/support/amounts.ts'
import { startProxy } from '../../bench/support/proxy-process.ts'

const SCENARIO = {
  name: 'upload',
  defaults: { connections: 8, mib: 1024 },
  quick: { connections: 2, mib: 16 },
}

test('amounts are those of the scenario, of a quick run, of the command line', () => {
  assert.deepEqual(collectAmounts(SCENARIO, {}, false), { connections: 8, count: 1, mib: 1024, seconds: 1 })
  assert.deepEqual(collectAmounts(SCENARIO, { mib: 3 }, true), {
    connections: 2,
    count: 1,
    mib: 3,
    seconds: 1,
  })
})

test('what cannot be measured is refused by the name of its flag', () => {
  assert.throws(
    () => collectAmounts(SCENARIO, { count: 5 }, false),
    /upload has no --count, but --connections/,
  )
  for (const mib of [0, -1, 1.5, Number.NaN, Infinity])
    assert.throws(() => collectAmounts(SCENARIO, { mib }, false), /--mib: a whole number/, String(mib))
  const timed = { ...SCENARIO, defaults: { seconds: 1 } }
  assert.equal(collectAmounts(timed, { seconds: 0.5 }, false).seconds, 0.5)
  for (const seconds of [0, -1, Number.NaN, Infinity])
    assert.throws(() => collectAmounts(timed, { seconds }, false), /--seconds: a number above 0/)
  assert.throws(() => requireWhole({ runs: 3, workers: 0 }), /--workers/)
  requireWhole({ runs: 3, pid: undefined })
})

test('a setting that the measured program does not know is no comparison', { timeout: 60_000 }, async () => {
  await assert.rejects(
    startProxy({ dcPort: 1, overrides: { 'network.tcp-notsent-lowat': '64kib' } }),
    /knows no setting network\.tcp-notsent-lowat/,
  )
})
