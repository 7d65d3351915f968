import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Throttle } from '#primary/throttle'
import type { ThrottleConfig } from '#shared/config'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { type Admission, UserRows } from '#shared/state/user-rows'
import { recordLog } from '../support/record-log.ts'

const CONFIG: ThrottleConfig = { maxConnections: 4, checkIntervalMs: 5000, action: 'close' }

interface Fixture {
  readonly throttle: Throttle
  readonly admit: (name: string) => Admission
  readonly leave: (name: string) => void
  readonly said: () => unknown[]
}

function createThrottle(names: readonly string[], config: ThrottleConfig = CONFIG): Fixture {
  const memory = createLedgerMemory(1)
  const ledger = new UserLedger(memory)
  const rows = new UserRows(memory, 0)
  const users = names.map((name) => ({ name, secrets: [], ...ledger.addUser() }))
  const { logger, lines } = recordLog()
  const find = (name: string): { slot: number; generation: number } => {
    const user = users.find((each) => each.name === name)
    assert.ok(user, name)
    return user
  }
  return {
    throttle: new Throttle(config, { ledger, users: () => users, log: logger }),
    admit: (name) => rows.admit(find(name).slot, find(name).generation),
    leave: (name) => rows.leave(find(name).slot),
    said: () => lines.map(({ level, message }) => `${String(level)}: ${String(message)}`),
  }
}

const STARTED = 'info: throttle loop started'
const ACTIVATED = 'warn: throttle activated'
const DEACTIVATED = 'info: throttle deactivated'

test('it is over when a whole interval has passed below the limit in which nobody was refused', () => {
  const { throttle, admit, leave, said } = createThrottle(['anna'])
  for (let count = 0; count < 4; count++) admit('anna')
  throttle.tick(1000)
  assert.deepEqual(said(), [STARTED, ACTIVATED])
  leave('anna')
  throttle.tick(5999)
  assert.deepEqual(said(), [STARTED, ACTIVATED], 'not before the check')

  // A saw-tooth: below the limit at each check, full in between.
  admit('anna')
  assert.equal(admit('anna'), 'fair-share')
  leave('anna')
  throttle.tick(6000)
  assert.deepEqual(said(), [STARTED, ACTIVATED], 'somebody was refused since the last check')
  throttle.tick(10_999)
  throttle.tick(11_000)
  assert.deepEqual(said(), [STARTED, ACTIVATED, DEACTIVATED])
})

test('that the limit is reached is said at once, and once', () => {
  const { throttle, admit, said } = createThrottle(['anna'])
  throttle.tick(1000)
  for (let count = 0; count < 4; count++) admit('anna')
  assert.equal(throttle.snapshot()?.active, true, 'whoever looks sees it before it is said')
  throttle.tick(1250)
  throttle.tick(1500)
  throttle.tick(7000)
  assert.deepEqual(said(), [STARTED, ACTIVATED])
})

test('a limit below the number of users caps nobody at 0', () => {
  const names = ['anna', 'boris', 'carla', 'dora', 'emil', 'fedor']
  const { throttle, admit } = createThrottle(names)
  for (const name of [...names, 'anna', 'boris']) admit(name)
  throttle.setConfig({ ...CONFIG, maxConnections: 2 })
  const caps = names.map((name) => ({ name, cap: 1 }))
  assert.deepEqual(throttle.snapshot(), { active: true, limit: 2, caps })
})

test('shares are counted anew at every check, whatever the last count was good for', () => {
  // Above 512 users one count serves several decisions at the limit; the check ends that.
  const crowd = Array.from({ length: 2000 }, (_, index) => `user ${index}`)
  const config = { ...CONFIG, maxConnections: 12 }
  const { throttle, admit, leave } = createThrottle(['anna', 'boris', ...crowd], config)
  throttle.tick(0)
  const [first = '', ...others] = crowd.slice(0, 10)
  for (const name of ['anna', 'anna', first, ...others]) assert.equal(admit(name), 'admitted')
  assert.equal(admit(first), 'fair-share', 'one each, for eleven')
  for (const name of others) leave(name)
  for (let count = 0; count < 9; count++) assert.equal(admit('boris'), 'admitted')
  assert.equal(admit(first), 'fair-share', 'as counted before')
  throttle.tick(5000)
  assert.equal(admit(first), 'admitted', 'boris holds nine of twelve')
})

test('switched off it shows nothing and says that it ended', () => {
  const { throttle, admit, said } = createThrottle(['anna'])
  for (let count = 0; count < 4; count++) admit('anna')
  throttle.tick(0)
  throttle.setConfig({ ...CONFIG, maxConnections: 0 })
  assert.equal(throttle.snapshot(), null)
  assert.equal(admit('anna'), 'admitted')
  throttle.tick(60_000)
  assert.deepEqual(said(), [STARTED, ACTIVATED, DEACTIVATED])
})
