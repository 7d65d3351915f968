import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'
import { BugError, OperatorError } from '#shared/errors'
import { TOTAL } from '#shared/state/ledger-layout'
import { createLedgerMemory, MAX_USERS } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'

interface Fixture {
  ledger: UserLedger
  threads: UserRows[]
}

function newLedger(threads: number): Fixture {
  const memory = createLedgerMemory(threads)
  return {
    ledger: new UserLedger(memory),
    threads: Array.from({ length: threads }, (_, thread) => new UserRows(memory, thread)),
  }
}

/** One thread and one user. */
function newUser(): { ledger: UserLedger; rows: UserRows; slot: number; generation: number } {
  const { ledger, threads } = newLedger(1)
  const [rows] = threads
  assert.ok(rows)
  return { ledger, rows, ...ledger.addUser() }
}

const nothing = { connections: 0, bytesIn: 0, bytesOut: 0, lastSeenMs: null }

test('a user is admitted up to the cap and again after somebody left', () => {
  const { ledger, rows, slot, generation } = newUser()
  ledger.setCap(slot, 2)
  assert.deepEqual(
    [1, 2, 3].map(() => rows.admit(slot, generation)),
    ['admitted', 'admitted', 'cap'],
  )
  rows.leave(slot)
  assert.equal(rows.admit(slot, generation), 'admitted')
  assert.equal(rows.admit(slot, generation), 'cap')
  ledger.setCap(slot, null)
  assert.equal(rows.admit(slot, generation), 'admitted')
  assert.equal(ledger.read(slot).connections, 3)
  assert.equal(ledger.total(), 3)
})

test('traffic of all threads is summed, by user', () => {
  const { ledger, threads } = newLedger(3)
  const users = [ledger.addUser(), ledger.addUser()]
  assert.deepEqual(ledger.read(users[0]?.slot ?? -1), nothing)
  for (const [at, rows] of threads.entries()) {
    for (const { slot, generation } of users) {
      assert.equal(rows.admit(slot, generation), 'admitted')
      rows.account(slot).bytesIn += 10 ** at
      rows.account(slot).bytesOut += 2 * 10 ** at + slot
      rows.account(slot).lastSeenMs = 5_000 + at
    }
  }
  assert.deepEqual(ledger.read(1), { ...nothing, connections: 3 })
  for (const rows of threads) rows.publish()
  assert.deepEqual(ledger.read(0), { connections: 3, bytesIn: 111, bytesOut: 222, lastSeenMs: 5_002 })
  assert.deepEqual(ledger.read(1), { connections: 3, bytesIn: 111, bytesOut: 225, lastSeenMs: 5_002 })
  // The end of a connection publishes too.
  const [first] = threads
  assert.ok(first)
  first.account(0).bytesIn += 5_000_000_000
  first.leave(0)
  assert.deepEqual(ledger.read(0), {
    connections: 2,
    bytesIn: 5_000_000_111,
    bytesOut: 222,
    lastSeenMs: 5_002,
  })
})

test('at the limit only those below the fair share are admitted, and caps come first', () => {
  const { ledger, threads } = newLedger(1)
  const [rows] = threads
  assert.ok(rows)
  const heavy = ledger.addUser()
  const light = ledger.addUser()
  ledger.setLimit(5)
  const admit = (user: typeof heavy): string => rows.admit(user.slot, user.generation)
  for (let count = 0; count < 5; count++) assert.equal(admit(heavy), 'admitted')
  assert.equal(admit(heavy), 'fair-share')
  // {5, 2}: one more for either would not fit, since the level for 4 connections is 2.
  assert.equal(admit(light), 'admitted')
  assert.equal(admit(light), 'admitted')
  assert.equal(admit(light), 'fair-share')
  ledger.setCap(heavy.slot, 5)
  assert.equal(admit(heavy), 'cap')
  assert.equal(ledger.total(), 7)
  assert.deepEqual(ledger.readRefusals(heavy.slot), { cap: 1, 'fair-share': 1, quota: 0 })
  assert.deepEqual(ledger.readRefusals(light.slot), { cap: 0, 'fair-share': 1, quota: 0 })

  // The heavy one gives way to a fair share and not below it.
  for (let count = 0; count < 3; count++) rows.leave(heavy.slot)
  assert.equal(admit(heavy), 'admitted')
  assert.equal(admit(heavy), 'fair-share')
  assert.equal(ledger.total(), 5)

  ledger.setLimit(null)
  assert.equal(admit(light), 'admitted')
  for (let count = 0; count < 3; count++) rows.leave(light.slot)
  for (let count = 0; count < 3; count++) rows.leave(heavy.slot)
  assert.equal(ledger.total(), 0)
})

test('who finds the last place taken between the look and the claim gets nothing, and leaves nothing behind', () => {
  const { ledger, threads } = newLedger(2)
  const [late, quick] = threads as [UserRows, UserRows]
  const { slot, generation } = ledger.addUser()
  const other = ledger.addUser()
  ledger.setLimit(2)
  assert.equal(late.admit(slot, generation), 'admitted')
  /** The late thread's claim, in front of which the other thread takes a place. */
  const race = (claim: { slot: number; generation: number }): string => {
    const { add } = Atomics
    const raced = (cells: Int32Array, at: number, value: number): number => {
      if (at === TOTAL) {
        Object.assign(Atomics, { add })
        assert.equal(quick.admit(slot, generation), 'admitted')
      }
      return add(cells, at, value)
    }
    Object.assign(Atomics, { add: raced })
    try {
      return late.admit(claim.slot, claim.generation)
    } finally {
      Object.assign(Atomics, { add })
    }
  }
  assert.equal(race({ slot, generation }), 'fair-share')
  assert.deepEqual([ledger.total(), ledger.read(slot).connections, ledger.repair()], [2, 2, 0])
  assert.equal(ledger.readRefusals(slot)['fair-share'], 1)
  quick.leave(slot)
  assert.equal(race(other), 'admitted', 'who has less than a fair share gets it all the same (decision O14)')
  assert.deepEqual([ledger.total(), ledger.read(other.slot).connections, ledger.repair()], [3, 1, 0])
})

test('whoever is not counted any more has left all bytes behind, whenever that happens while they are read', () => {
  let looks = 0
  for (let leavesAt = 0; leavesAt <= looks; leavesAt++) {
    const { ledger, rows, slot, generation } = newUser()
    rows.admit(slot, generation)
    rows.account(slot).bytesIn += 7
    rows.publish()
    ledger.read(slot)
    rows.account(slot).bytesIn += 93
    const { load } = Atomics
    looks = 0
    const leaving = (cells: Int32Array, at: number): number => {
      if (looks++ === leavesAt) rows.leave(slot)
      return load(cells, at)
    }
    Object.assign(Atomics, { load: leaving })
    try {
      const { connections, bytesIn } = ledger.read(slot)
      if (connections === 0) assert.equal(bytesIn, 100, `left at look ${leavesAt}`)
    } finally {
      Object.assign(Atomics, { load })
    }
  }
  assert.ok(looks > 1)
})

test('everybody gets one connection, however many are above the limit', () => {
  const { ledger, threads } = newLedger(1)
  const [rows] = threads
  assert.ok(rows)
  ledger.setLimit(3)
  const users = Array.from({ length: 200 }, () => ledger.addUser())
  for (const { slot, generation } of users) assert.equal(rows.admit(slot, generation), 'admitted')
  for (const { slot, generation } of users) assert.equal(rows.admit(slot, generation), 'fair-share')
})

test('a level that is kept for many users is computed anew when the throttle asks for it', () => {
  const { ledger, threads } = newLedger(1)
  const [rows] = threads
  assert.ok(rows)
  const users = Array.from({ length: 2_000 }, () => ledger.addUser())
  const [first, second] = users
  assert.ok(first && second)
  const admit = (user: typeof first): string => rows.admit(user.slot, user.generation)
  ledger.setLimit(10)
  for (let count = 0; count < 10; count++) assert.equal(admit(first), 'admitted')
  assert.equal(admit(first), 'fair-share')
  for (let count = 0; count < 5; count++) rows.leave(first.slot)
  for (let count = 0; count < 5; count++) assert.equal(admit(second), 'admitted')
  // {5, 5}, and the level of 9 from before is still good: what is allowed by it is not more than that.
  assert.equal(admit(second), 'admitted')
  ledger.refreshFairShare()
  assert.equal(admit(second), 'fair-share')
  assert.equal(admit(first), 'fair-share')
})

test('a removed user is not admitted, but the connections go on and are counted', () => {
  const { ledger, rows, slot, generation } = newUser()
  assert.equal(rows.admit(slot, generation), 'admitted')
  ledger.removeUser(slot)
  assert.equal(rows.admit(slot, generation), 'unknown-user')
  rows.account(slot).bytesIn += 7
  rows.publish()
  assert.deepEqual(ledger.read(slot), { ...nothing, connections: 1, bytesIn: 7 })
  assert.equal(ledger.total(), 1)
  assert.throws(() => ledger.removeUser(slot), BugError)
})

test('a slot goes to another user only when the last connection of the one before has ended, and begins at zero', () => {
  const { ledger, rows, slot, generation } = newUser()
  assert.equal(rows.admit(slot, generation), 'admitted')
  rows.account(slot).bytesIn += 100
  rows.account(slot).lastSeenMs = 9_000
  ledger.setCap(slot, 1)
  ledger.removeUser(slot)
  const other = ledger.addUser()
  assert.notEqual(other.slot, slot)
  rows.account(slot).bytesOut += 200
  rows.leave(slot)

  const next = ledger.addUser()
  assert.equal(next.slot, slot)
  assert.notEqual(next.generation, generation)
  assert.deepEqual(ledger.read(slot), nothing)
  assert.equal(rows.admit(slot, generation), 'unknown-user')
  assert.equal(rows.admit(slot, next.generation), 'admitted')
  assert.equal(rows.admit(slot, next.generation), 'admitted')
  rows.account(slot).bytesIn += 1
  rows.account(slot).bytesOut += 2
  rows.account(slot).lastSeenMs = 9_500
  rows.publish()
  assert.deepEqual(ledger.read(slot), { connections: 2, bytesIn: 1, bytesOut: 2, lastSeenMs: 9_500 })
  ledger.forgetThread(0)
  assert.deepEqual(ledger.read(slot), { connections: 0, bytesIn: 1, bytesOut: 2, lastSeenMs: 9_500 })
})

test('threads admit users who were added after the memory has grown', () => {
  const { ledger, rows } = newUser()
  const users = Array.from({ length: 5_000 }, () => ledger.addUser())
  for (const { slot, generation } of users) assert.equal(rows.admit(slot, generation), 'admitted')
  for (const { slot } of users) rows.account(slot).bytesOut += slot
  rows.publish()
  assert.equal(ledger.read(5_000).bytesOut, 5_000)
  assert.equal(ledger.total(), 5_000)
  assert.equal(ledger.repair(), 0)
})

test('slots that were never given to a user admit nobody', () => {
  const { rows } = newUser()
  for (const slot of [-1, 1, 63, 64, MAX_USERS, MAX_USERS + 1])
    assert.equal(rows.admit(slot, 1), 'unknown-user')
  assert.throws(() => rows.leave(0), BugError)
})

test('the number of users is limited', () => {
  const { ledger } = newLedger(1)
  for (let count = 0; count < MAX_USERS; count++) ledger.addUser()
  assert.throws(() => ledger.addUser(), OperatorError)
  ledger.removeUser(77)
  assert.equal(ledger.addUser().slot, 77)
})

test('a dead thread keeps its bytes and loses its connections; its successor counts on', () => {
  const memory = createLedgerMemory(2)
  const ledger = new UserLedger(memory)
  const { slot, generation } = ledger.addUser()
  const survivor = new UserRows(memory, 1)
  assert.equal(survivor.admit(slot, generation), 'admitted')
  for (let life = 1; life <= 3; life++) {
    const rows = new UserRows(memory, 0)
    assert.equal(rows.admit(slot, generation), 'admitted')
    assert.equal(rows.admit(slot, generation), 'admitted')
    rows.account(slot).bytesIn += 10
    rows.account(slot).bytesOut += 20
    rows.account(slot).lastSeenMs = 100 * life
    rows.publish()
    assert.equal(ledger.read(slot).connections, 3)
    ledger.forgetThread(0)
    assert.deepEqual(ledger.read(slot), {
      connections: 1,
      bytesIn: 10 * life,
      bytesOut: 20 * life,
      lastSeenMs: 100 * life,
    })
    assert.equal(ledger.total(), 1)
    assert.equal(ledger.repair(), 0)
  }
})

test('whatever users, threads and the operator do, the ledger says what a plain count says', () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant('admit' as const), user: fc.nat(3), thread: fc.nat(1) }),
    fc.record({ kind: fc.constant('leave' as const), user: fc.nat(3), thread: fc.nat(1) }),
    fc.record({ kind: fc.constant('cap' as const), user: fc.nat(3), cap: fc.option(fc.nat(4)) }),
    fc.record({ kind: fc.constant('limit' as const), limit: fc.option(fc.integer({ min: 1, max: 8 })) }),
    fc.record({ kind: fc.constant('replace' as const), user: fc.nat(3) }),
    fc.record({ kind: fc.constant('die' as const), thread: fc.nat(1) }),
  )
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const memory = createLedgerMemory(2)
      const ledger = new UserLedger(memory)
      const threads = [new UserRows(memory, 0), new UserRows(memory, 1)]
      const add = () => ({ ...ledger.addUser(), cap: Infinity, bytes: 0, live: [0, 0] })
      const users = Array.from({ length: 4 }, add)
      const all = [...users]
      let limit = Infinity
      const sum = (user: (typeof users)[0]): number => (user.live[0] ?? 0) + (user.live[1] ?? 0)
      const total = (): number => all.reduce((before, user) => before + sum(user), 0)
      /** Decision O14: connections of all, cut at what the user would hold, with the request. */
      const fits = (user: (typeof users)[0]): boolean => {
        const wanted = sum(user) + 1
        const others = all.filter((other) => other !== user)
        const cut = others.reduce((before, other) => before + Math.min(sum(other), wanted), wanted)
        return wanted === 1 || cut <= limit
      }

      for (const step of commands) {
        const user = 'user' in step ? users[step.user] : undefined
        const rows = 'thread' in step ? threads[step.thread] : undefined
        if (step.kind === 'admit' && user && rows) {
          const expected =
            sum(user) >= user.cap ? 'cap' : total() >= limit && !fits(user) ? 'fair-share' : 'admitted'
          assert.equal(rows.admit(user.slot, user.generation), expected)
          if (expected !== 'admitted') continue
          user.live[step.thread] = (user.live[step.thread] ?? 0) + 1
          rows.account(user.slot).bytesIn += 3
          user.bytes += 3
          rows.publish()
        } else if (step.kind === 'leave' && user && rows && (user.live[step.thread] ?? 0) > 0) {
          rows.leave(user.slot)
          user.live[step.thread] = (user.live[step.thread] ?? 0) - 1
        } else if (step.kind === 'cap' && user) {
          ledger.setCap(user.slot, step.cap)
          user.cap = step.cap ?? Infinity
        } else if (step.kind === 'limit') {
          ledger.setLimit(step.limit)
          limit = step.limit ?? Infinity
        } else if (step.kind === 'replace' && user) {
          ledger.removeUser(user.slot)
          users[step.user] = add()
          all.push(...users.slice(step.user, step.user + 1))
        } else if (step.kind === 'die') {
          ledger.forgetThread(step.thread)
          for (const each of all) each.live[step.thread] = 0
          threads[step.thread] = new UserRows(memory, step.thread)
        }
        for (const each of users) {
          const { connections, bytesIn } = ledger.read(each.slot)
          assert.deepEqual([connections, bytesIn], [sum(each), each.bytes])
        }
        assert.equal(ledger.total(), total())
        assert.equal(ledger.repair(), 0)
      }
    }),
    { numRuns: 300 },
  )
})
