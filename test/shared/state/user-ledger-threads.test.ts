import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'

import { dieBefore } from './die-before.ts'
import { TestThread } from './run-thread.ts'

test('eight threads and a million admissions never exceed a cap by one', async () => {
  const threads = 8
  const memory = createLedgerMemory(threads)
  const ledger = new UserLedger(memory)
  const caps = [1, 2, 3, 5]
  const users = caps.map((cap) => {
    const user = ledger.addUser()
    ledger.setCap(user.slot, cap)
    return user
  })
  const inside = new SharedArrayBuffer((caps.length + 3) * 4)
  const running = Array.from(
    { length: threads },
    (_, thread) =>
      new TestThread('./ledger-thread.ts', { memory, thread, users, caps, turns: 125_000, held: 3, inside }),
  )
  await Promise.all(running.map((thread) => thread.message()))

  const counts = new Int32Array(inside)
  assert.deepEqual([...counts.subarray(0, caps.length)], [0, 0, 0, 0])
  assert.equal(counts[caps.length], 0, 'connections above a cap')
  assert.equal(counts[caps.length + 2], 1_000_000)
  const admitted = counts[caps.length + 1] ?? 0
  assert.ok(admitted > 10_000)
  // Nothing is left over, and nothing is lost.
  assert.equal(ledger.total(), 0)
  assert.equal(ledger.repair(), 0)
  const numbers = users.map(({ slot }) => ledger.read(slot))
  assert.equal(
    numbers.reduce((sum, { bytesIn }) => sum + bytesIn, 0),
    3 * admitted,
  )
  assert.equal(
    numbers.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
    5 * admitted,
  )
  assert.ok(numbers.every(({ connections }) => connections === 0))
  await Promise.all(running.map((thread) => thread.exit()))
})

test('the limit for all users together is exact over threads when nobody is below the fair share', async () => {
  const threads = 4
  const memory = createLedgerMemory(threads)
  const ledger = new UserLedger(memory)
  ledger.setLimit(3)
  const user = ledger.addUser()
  // One user, so the user's own count is the total.
  const inside = new SharedArrayBuffer(16)
  const running = Array.from(
    { length: threads },
    (_, thread) =>
      new TestThread('./ledger-thread.ts', {
        memory,
        thread,
        users: [user],
        caps: [3],
        turns: 50_000,
        held: 2,
        inside,
      }),
  )
  await Promise.all(running.map((thread) => thread.message()))
  const [left, tooMany, admitted] = new Int32Array(inside)
  assert.deepEqual([left, tooMany], [0, 0])
  assert.ok((admitted ?? 0) > 1_000)
  assert.equal(ledger.total(), 0)
  await Promise.all(running.map((thread) => thread.exit()))
})

test('eight threads that admit at once give nothing to those who have a fair share, and a fair share to the others', async () => {
  const threads = 8
  const limit = 100
  const memory = createLedgerMemory(threads)
  const ledger = new UserLedger(memory)
  const users = Array.from({ length: 6 }, () => ledger.addUser())
  const rows = new UserRows(memory, 0)
  const before = [60, 60, 0, 0, 0, 0]
  for (const [user, count] of before.entries()) {
    const { slot, generation } = users[user] ?? { slot: -1, generation: -1 }
    for (let each = 0; each < count; each++) assert.equal(rows.admit(slot, generation), 'admitted')
  }
  ledger.setLimit(limit)

  // Everybody wants more on every thread, until nobody gets any.
  const inside = new SharedArrayBuffer((users.length + 3) * 4)
  const running = Array.from(
    { length: threads },
    (_, thread) =>
      new TestThread('./ledger-thread.ts', {
        memory,
        thread,
        users,
        caps: users.map(() => 1e9),
        turns: 3_000,
        held: Infinity,
        keeps: true,
        inside,
      }),
  )
  await Promise.all(running.map((thread) => thread.message()))

  const counts = users.map(({ slot }) => ledger.read(slot).connections)
  const held = (user: number): number => counts[user] ?? 0
  const cutAt = (level: number): number => counts.reduce((sum, count) => sum + Math.min(count, level), 0)
  assert.deepEqual(counts.slice(0, 2), [60, 60], 'who was above gets no more')
  // Whoever has come up last to where the lowest one stands was let in with everybody at that height or above.
  const lowest = Math.min(...counts.slice(2))
  assert.ok(cutAt(lowest) <= limit, `${counts.join(', ')}: one too many`)
  for (let user = 2; user < users.length; user++)
    assert.ok(cutAt(held(user) + 1) + 1 > limit, `${counts.join(', ')}: one too few for user ${user}`)
  await Promise.all(running.map((thread) => thread.exit()))
})

test('after threads were killed at any point the ledger comes to the true counts', async (t) => {
  const memory = createLedgerMemory(2)
  const ledger = new UserLedger(memory)
  const users = [ledger.addUser(), ledger.addUser()]
  const survivor = new UserRows(memory, 1)
  for (const { slot, generation } of users) assert.equal(survivor.admit(slot, generation), 'admitted')

  let repaired = 0
  for (let round = 0; round < 25; round++) {
    const inside = new SharedArrayBuffer(20)
    const attempts = new Int32Array(inside, 16)
    const thread = new TestThread('./ledger-thread.ts', {
      memory,
      thread: 0,
      users,
      caps: [1e9, 1e9],
      turns: Infinity,
      held: 5,
      inside,
    })
    while (Atomics.load(attempts, 0) < 200 + round * 37) await new Promise(setImmediate)
    await thread.kill()
    ledger.forgetThread(0)
    repaired += ledger.repair()
    for (const { slot } of users) assert.equal(ledger.read(slot).connections, 1)
    assert.equal(ledger.total(), 2)
    assert.equal(ledger.repair(), 0)
  }
  t.diagnostic(`counts corrected after 25 deaths: ${repaired}`)
  assert.ok(ledger.read(users[0]?.slot ?? -1).bytesIn > 0)
})

for (const act of ['admit', 'leave', 'refusal'] as const) {
  test(`a thread that dies before any single write of ${act} leaves nothing that a repair does not put right`, () => {
    let deaths = 0
    for (let writes = 0; ; writes++) {
      const memory = createLedgerMemory(2)
      const ledger = new UserLedger(memory)
      const { slot, generation } = ledger.addUser()
      const survivor = new UserRows(memory, 1)
      const victim = new UserRows(memory, 0)
      assert.equal(survivor.admit(slot, generation), 'admitted')
      for (let count = 0; count < 3; count++) assert.equal(victim.admit(slot, generation), 'admitted')
      victim.account(slot).bytesIn += 10
      victim.publish()
      victim.account(slot).bytesIn += 1
      if (act === 'refusal') {
        // Full only at the second look: the user is removed between the two.
        const { load } = Atomics
        let looks = 0
        Object.assign(Atomics, {
          load: (array: Int32Array, at: number) => (
            looks++ === 4 ? ledger.removeUser(slot) : undefined,
            load(array, at)
          ),
        })
        try {
          if (!dieBefore(writes, () => assert.equal(victim.admit(slot, generation), 'unknown-user'))) break
        } finally {
          Object.assign(Atomics, { load })
        }
      } else if (
        !dieBefore(writes, () => (act === 'admit' ? victim.admit(slot, generation) : victim.leave(slot)))
      ) {
        break
      }
      deaths++
      ledger.forgetThread(0)
      ledger.repair()
      const { connections, bytesIn } = ledger.read(slot)
      assert.equal(connections, 1)
      assert.equal(ledger.total(), 1)
      assert.ok(bytesIn === 10 || bytesIn === 11)
      // And the thread's number is fit for use again.
      const successor = new UserRows(memory, 0)
      const admission = successor.admit(slot, generation)
      if (act === 'refusal' && admission === 'unknown-user') continue
      assert.equal(admission, 'admitted')
      assert.equal(ledger.repair(), 0)
      assert.equal(ledger.total(), 2)
    }
    assert.ok(deaths >= (act === 'refusal' ? 4 : 6), `${deaths} places to die`)
  })
}

test('counts that are only moving are left alone', async () => {
  const memory = createLedgerMemory(2)
  const ledger = new UserLedger(memory)
  const users = [ledger.addUser()]
  const inside = new SharedArrayBuffer(16)
  const thread = new TestThread('./ledger-thread.ts', {
    memory,
    thread: 0,
    users,
    caps: [9],
    turns: 300_000,
    held: 2,
    inside,
  })
  const state = { done: false }
  const message = thread.message().then(() => (state.done = true))
  let corrections = 0
  while (!state.done) {
    for (let burst = 0; burst < 500; burst++) corrections += ledger.repair()
    await new Promise(setImmediate)
  }
  await message
  assert.equal(corrections, 0)
  assert.equal(ledger.total(), 0)
  await thread.exit()
})
