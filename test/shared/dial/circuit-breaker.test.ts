import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { CircuitBreaker } from '#shared/dial/circuit-breaker'

import { TestThread } from '../state/run-thread.ts'

const LIMITS = { openThreshold: 3, halfOpenTimeoutMs: 60_000, resetFailuresTimeoutMs: 10_000 }

function create(): CircuitBreaker {
  return new CircuitBreaker(new BigInt64Array(new SharedArrayBuffer(8)), 0, LIMITS)
}

function fail(breaker: CircuitBreaker, nowMs: number, times = 1): void {
  for (let n = 0; n < times; n++) breaker.tryEnter(nowMs)?.fail(nowMs)
}

test('as many failures in a row as the threshold open it, one less does not', () => {
  const breaker = create()
  fail(breaker, 1000, 2)
  assert.deepEqual(breaker.read(1000), { state: 'closed', failures: 2, retryInMs: 0 })
  fail(breaker, 1000)
  assert.deepEqual(breaker.read(1500), { state: 'open', failures: 3, retryInMs: 59_500 })
  assert.equal(breaker.tryEnter(60_999), null)
})

test('a success between them begins the row anew, a dial that was given up does not', () => {
  const breaker = create()
  fail(breaker, 1000, 2)
  breaker.tryEnter(1000)?.succeed()
  fail(breaker, 1000, 2)
  assert.equal(breaker.read(1000).state, 'closed')
  breaker.tryEnter(1000)?.cancel()
  fail(breaker, 1000)
  assert.equal(breaker.read(1000).state, 'open')
})

test('failures are forgotten after a while without another one', () => {
  const breaker = create()
  fail(breaker, 0, 2)
  assert.equal(breaker.read(9999).failures, 2)
  assert.equal(breaker.read(10_000).failures, 0)
  fail(breaker, 10_000, 2)
  assert.deepEqual(breaker.read(10_000), { state: 'closed', failures: 2, retryInMs: 0 })
})

test('after its time one dial is let through as the trial, and decides', () => {
  for (const [end, expected] of [
    ['succeed', 'closed'],
    ['fail', 'open'],
  ] as const) {
    const breaker = create()
    fail(breaker, 0, 3)
    const trial = breaker.tryEnter(60_000)
    assert.ok(trial !== null)
    assert.equal(breaker.read(60_000).state, 'half-open')
    assert.equal(breaker.tryEnter(60_001), null, 'a second one is not')
    trial[end](60_500)
    assert.equal(breaker.read(60_500).state, expected)
    if (end === 'fail') assert.equal(breaker.tryEnter(120_499), null, 'the time begins anew')
  }
})

test('a trial that is given up lets the next dial be the trial at once', () => {
  const breaker = create()
  fail(breaker, 0, 3)
  breaker.tryEnter(60_000)?.cancel()
  assert.ok(breaker.tryEnter(60_000) !== null)
  assert.equal(breaker.tryEnter(60_000), null)
})

test('the trial of a thread that died blocks for two minutes, not for ever', () => {
  const breaker = create()
  fail(breaker, 0, 3)
  const lost = breaker.tryEnter(60_000)
  assert.equal(breaker.tryEnter(179_999), null)
  const next = breaker.tryEnter(180_000)
  assert.ok(next !== null)
  lost?.succeed()
  assert.equal(breaker.read(180_000).state, 'half-open', 'what comes late is not the trial any more')
  next.succeed()
  assert.equal(breaker.read(180_000).state, 'closed')
})

test('dials from before it opened change nothing', () => {
  const breaker = create()
  const early = [breaker.tryEnter(0), breaker.tryEnter(0), breaker.tryEnter(0)]
  fail(breaker, 0, 3)
  early[0]?.succeed()
  early[1]?.fail(50_000)
  assert.deepEqual(breaker.read(0), { state: 'open', failures: 3, retryInMs: 60_000 })
  const trial = breaker.tryEnter(60_000)
  early[2]?.succeed()
  assert.equal(breaker.read(60_000).state, 'half-open')
  trial?.fail(60_000)
  assert.equal(breaker.read(60_000).state, 'open')
})

test('a dial settles once', () => {
  const breaker = create()
  const permit = breaker.tryEnter(0)
  permit?.cancel()
  for (let n = 0; n < 5; n++) permit?.fail(0)
  assert.equal(breaker.read(0).failures, 0)
})

test('it says what a plain model says', () => {
  const steps = fc.array(
    fc.record({
      passMs: fc.constantFrom(0, 1, 5000, 10_000, 60_000),
      end: fc.constantFrom('succeed', 'fail', 'cancel'),
    }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(steps, (all) => {
      const breaker = create()
      const model = { failures: 0, lastMs: 0, openedMs: -1 }
      let nowMs = 1_000_000
      for (const { passMs, end } of all) {
        nowMs += passMs
        const isOpen = model.openedMs >= 0
        const permit = breaker.tryEnter(nowMs)
        assert.equal(permit === null, isOpen && nowMs - model.openedMs < LIMITS.halfOpenTimeoutMs)
        if (permit === null) continue
        permit[end as 'fail'](nowMs)
        if (end === 'succeed') Object.assign(model, { failures: 0, openedMs: -1 })
        if (end === 'fail' && isOpen) model.openedMs = nowMs
        if (end === 'fail' && !isOpen) {
          model.failures = nowMs - model.lastMs >= LIMITS.resetFailuresTimeoutMs ? 1 : model.failures + 1
          model.lastMs = nowMs
          if (model.failures >= LIMITS.openThreshold) model.openedMs = nowMs
        }
      }
    }),
  )
})

test('of four threads at an open breaker exactly one makes the trial, each time', async () => {
  const memory = new SharedArrayBuffer(8)
  const tally = new SharedArrayBuffer(12)
  const threads = [0, 1, 2, 3].map(
    () => new TestThread('../dial/breaker-thread.ts', { memory, tally, limits: LIMITS, rounds: 2000 }),
  )
  await Promise.all(threads.map((thread) => thread.message()))
  await Promise.all(threads.map((thread) => thread.exit()))
  const [, most, trials] = new Int32Array(tally)
  assert.equal(most, 1, 'trials at once')
  assert.ok(Number(trials) >= 2000, `${trials} trials`)
})

test('failures of four threads are all counted', async () => {
  const memory = new SharedArrayBuffer(8)
  const limits = { ...LIMITS, openThreshold: 1_000_000, resetFailuresTimeoutMs: 1e9 }
  const threads = [0, 1, 2, 3].map(
    () => new TestThread('../dial/breaker-thread.ts', { memory, tally: null, limits, rounds: 5000 }),
  )
  await Promise.all(threads.map((thread) => thread.message()))
  await Promise.all(threads.map((thread) => thread.exit()))
  assert.equal(new CircuitBreaker(new BigInt64Array(memory), 0, limits).read(1).failures, 20_000)
})
