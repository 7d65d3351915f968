import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'
import type { Logger } from 'pino'

import { mergeUse, subtractUse, type QuotaUse } from '#primary/quota/quota-use'
import { Quotas } from '#primary/quota/quotas'
import { QUOTA_PERIODS, type QuotaConfig, type QuotaPeriod } from '#shared/config'
import { QuotaLedger } from '#shared/state/quota-ledger'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'

const HOUR_MS = 3_600_000
const at = (text: string): number => Date.parse(text)

interface World {
  readonly quotas: Quotas
  /** Set the wall clock, and look. */
  readonly goTo: (time: string) => void
  /** Let time pass on the other one, and look. */
  readonly pass: (ms: number) => void
  readonly setQuota: (quota: QuotaConfig | null) => void
  readonly move: (bytes: number) => void
  readonly used: () => number | undefined
  readonly isLetIn: () => boolean
  readonly said: () => string[]
}

function begin(start: string, quota: QuotaConfig | null): World {
  const memory = createLedgerMemory(1)
  const ledger = new UserLedger(memory)
  const rows = new UserRows(memory, 0)
  const { slot, generation } = ledger.addUser()
  const clock = { wallMs: at(start), monotonicMs: 0 }
  const said: string[] = []
  const quotas = new Quotas({
    ledger: new QuotaLedger(memory, ledger),
    log: { info: (_: object, message: string) => void said.push(message) } as unknown as Logger, // all that is used
    readWallMs: () => clock.wallMs,
    readMonotonicMs: () => clock.monotonicMs,
  })
  const setQuota = (next: QuotaConfig | null): void => quotas.setUsers([{ name: 'anna', slot, quota: next }])
  setQuota(quota)
  return {
    quotas,
    setQuota,
    goTo: (time) => {
      clock.wallMs = at(time)
      quotas.tick()
    },
    pass: (ms) => {
      clock.wallMs += ms
      clock.monotonicMs += ms
      quotas.tick()
    },
    move: (bytes) => {
      rows.admit(slot, generation)
      const account = rows.account(slot)
      account.bytesIn += bytes
      if ((account.prepaid -= bytes) < 0) account.payMore()
      rows.leave(slot)
      quotas.tick()
    },
    used: () => quotas.use('anna')?.usedBytes,
    isLetIn: () => {
      const isAdmitted = rows.admit(slot, generation) === 'admitted'
      if (isAdmitted) rows.leave(slot)
      return isAdmitted
    },
    said: () => said.splice(0),
  }
}

const month = (limitBytes: number): QuotaConfig => ({ limitBytes, period: 'month' })

test('a used-up quota is said once, and begins anew with the month, which is said once', () => {
  const { goTo, move, used, isLetIn, said } = begin('2026-11-25T10:00:00Z', month(1000))
  move(1001)
  assert.equal(isLetIn(), false)
  goTo('2026-11-30T23:59:59.999Z')
  assert.equal(isLetIn(), false)
  assert.deepEqual(said(), ['the quota of a user is used up'])
  goTo('2026-12-01T00:00:00.000Z')
  assert.equal(isLetIn(), true)
  assert.equal(used(), 0)
  goTo('2026-12-01T00:00:00.250Z')
  assert.deepEqual(said(), ['quotas have been renewed'])
  move(1001)
  assert.equal(isLetIn(), false)
})

test('a clock that goes back over the turn of the month renews nothing when the turn comes again', () => {
  const { goTo, move, used, said } = begin('2026-11-30T23:59:00Z', month(1000))
  move(400)
  goTo('2026-12-01T00:00:10Z')
  move(300)
  goTo('2026-11-30T23:59:00Z')
  assert.equal(used(), 300)
  move(100)
  goTo('2026-12-01T00:00:00Z')
  assert.equal(used(), 400)
  assert.deepEqual(said(), ['quotas have been renewed'])
})

test('nor does one that goes back by hours, and stays behind for longer than any doubt lasts', () => {
  const { goTo, pass, move, used, said } = begin('2026-11-30T23:59:00Z', { limitBytes: 1000, period: 'day' })
  goTo('2026-12-01T00:30:00Z')
  move(300)
  goTo('2026-11-30T20:30:00Z')
  for (let hours = 0; hours < 4; hours++) pass(HOUR_MS)
  assert.equal(used(), 300)
  assert.deepEqual(said(), ['quotas have been renewed'])
})

test('a clock that was years ahead for a moment renews once and does not keep quotas from being renewed', () => {
  const { goTo, pass, move, used, said } = begin('2026-11-25T10:00:00Z', month(1000))
  move(400)
  goTo('2031-05-05T00:00:00Z')
  move(300)
  goTo('2026-11-25T10:00:01Z')
  pass(HOUR_MS / 2)
  pass(HOUR_MS / 2)
  assert.equal(used(), 300, 'nothing is given twice')
  goTo('2026-12-01T00:00:00Z')
  assert.equal(used(), 0)
  assert.deepEqual(said(), ['quotas have been renewed', 'quotas have been renewed'])
})

test('a host that begins in 1970 until it finds a time server renews nothing', () => {
  const { quotas, goTo, pass, used, said } = begin('1970-01-01T00:00:10Z', month(1000))
  quotas.add('anna', { period: 'month', startMs: at('2026-11-01T00:00:00Z'), usedBytes: 700 })
  pass(60_000)
  assert.equal(used(), 700)
  goTo('2026-11-25T10:00:00Z')
  assert.equal(used(), 700)
  assert.deepEqual(said(), [])
})

test('what was used before counts in its own period alone', () => {
  const startMs = at('2026-11-01T00:00:00Z')
  const now = begin('2026-11-25T10:00:00Z', month(1000))
  now.move(200)
  now.quotas.add('anna', { period: 'month', startMs, usedBytes: 700 })
  assert.equal(now.used(), 900)
  now.quotas.add('anna', { period: 'month', startMs, usedBytes: 100 })
  assert.equal(now.isLetIn(), false, 'also when the rest was moved in a process that drains')

  const later = begin('2026-12-01T10:00:00Z', month(1000))
  later.quotas.add('anna', { period: 'month', startMs, usedBytes: 700 })
  assert.equal(later.used(), 0)
})

const CHANGES: readonly (readonly [QuotaPeriod, QuotaPeriod, number])[] = [
  ['day', 'month', 400],
  ['month', 'total', 400],
  ['week', 'month', 400],
  ['month', 'day', 0],
  ['total', 'month', 0],
]
for (const [from, to, counted] of CHANGES) {
  test(`from ${from} to ${to} what was used counts ${counted > 0 ? 'on' : 'no more'}`, () => {
    const { setQuota, move, used } = begin('2026-11-25T10:00:00Z', { limitBytes: 1000, period: from })
    move(400)
    setQuota({ limitBytes: 1000, period: to })
    assert.equal(used(), counted)
  })
}

test('who loses the quota and gets one again has used what was used', () => {
  const { quotas, setQuota, move, used, isLetIn } = begin('2026-11-25T10:00:00Z', month(1000))
  move(1200)
  quotas.setUsers([])
  assert.equal(used(), 1200)
  setQuota(null)
  assert.equal(isLetIn(), true)
  setQuota(month(1100))
  assert.equal(used(), 1200)
  assert.equal(isLetIn(), false)
  setQuota(month(2000))
  assert.equal(isLetIn(), true)
  // However often: what was kept is not counted beside what goes on.
  setQuota(null)
  setQuota(month(2000))
  move(100)
  setQuota(null)
  assert.equal(used(), 1300)
})

test('of those who lost their quota 10,000 are remembered, and who lost it first is not', () => {
  const { quotas, move } = begin('2026-11-25T10:00:00Z', month(1000))
  move(100)
  quotas.setUsers([])
  assert.equal(quotas.use('anna')?.usedBytes, 100)
  const crowd = Array.from({ length: 10_000 }, (_, at) => `user-${at}`)
  const use = { period: 'month', startMs: at('2026-11-01T00:00:00Z'), usedBytes: 7 } as const
  for (const name of crowd.slice(1)) quotas.add(name, use)
  assert.equal(quotas.use('anna')?.usedBytes, 100)
  quotas.add('user-0', use)
  assert.equal(quotas.use('anna'), undefined)
  assert.equal(quotas.use('user-1')?.usedBytes, 7)
})

test('a total is never renewed', () => {
  const { goTo, move, isLetIn } = begin('2026-11-25T10:00:00Z', { limitBytes: 10, period: 'total' })
  move(11)
  goTo('2099-01-01T00:00:00Z')
  assert.equal(isLetIn(), false)
})

const use: fc.Arbitrary<QuotaUse> = fc.record(
  {
    period: fc.constantFrom(...QUOTA_PERIODS),
    startMs: fc.constantFrom(0, at('2026-11-01T00:00:00Z'), at('2026-12-01T00:00:00Z')),
    usedBytes: fc.nat(),
  },
  { noNullPrototype: true },
)

test('two counts are one in any order, and what a process has left adds up to what it had', () => {
  fc.assert(
    fc.property(use, use, use, (a, b, c) => {
      assert.deepEqual(mergeUse(a, b), mergeUse(b, a))
      assert.deepEqual(mergeUse(mergeUse(a, b), c), mergeUse(a, mergeUse(b, c)))
    }),
  )
  fc.assert(
    fc.property(use, fc.nat(), (before, more) => {
      const now = { ...before, usedBytes: before.usedBytes + more }
      const news = subtractUse(now, before)
      assert.deepEqual(news === undefined ? before : mergeUse(before, news), now)
    }),
  )
})
