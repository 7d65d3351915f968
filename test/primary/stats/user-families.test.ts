import assert from 'node:assert/strict'
import { test } from 'node:test'

import { listUserFamilies } from '#primary/stats/user-families'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'

/** Users with 1, 2, 3 … connections and 10, 20, 30 … bytes in, 100, 200, 300 … out; the first was refused once. */
function collectAll(names: readonly string[], limit: number): Record<string, Record<string, number>> {
  const memory = createLedgerMemory(1)
  const ledger = new UserLedger(memory)
  const rows = new UserRows(memory, 0)
  const users = names.map((name) => ({ name, secrets: [], ...ledger.addUser() }))
  users.forEach(({ slot, generation }, index) => {
    for (let count = 0; count <= index; count++) rows.admit(slot, generation)
    rows.account(slot).bytesIn += 10 * (index + 1)
    rows.account(slot).bytesOut += 100 * (index + 1)
  })
  rows.publish()
  const [first] = users
  if (first !== undefined) {
    ledger.setCap(first.slot, 1)
    rows.admit(first.slot, first.generation)
  }
  // The first has no quota.
  const quotas = {
    read: (slot: number) => (slot === first?.slot ? null : { limitBytes: 1000, usedBytes: slot }),
  }
  return Object.fromEntries(
    listUserFamilies({ ledger, quotas, users: () => users, limit }).map((family) => [
      family.name,
      Object.fromEntries(
        family.collect().map(({ labels, value }) => {
          assert.deepEqual(Object.keys(labels), family.labelNames)
          return [Object.values(labels).join(' '), value]
        }),
      ),
    ]),
  )
}

test('every user is shown by name while there are not too many', () => {
  assert.deepEqual(collectAll(['anna', 'boris'], 2), {
    user_connections: { anna: 1, boris: 2 },
    user_bytes: {
      'anna to_client': 100,
      'boris to_client': 200,
      'anna from_client': 10,
      'boris from_client': 20,
    },
    user_refusals: {
      'anna cap': 1,
      'boris cap': 0,
      'anna fair-share': 0,
      'boris fair-share': 0,
      'anna quota': 0,
      'boris quota': 0,
    },
    user_quota_bytes: { boris: 1000 },
    user_quota_used_bytes: { boris: 1 },
  })
})

test('those beyond the limit are summed, so that nothing is lost and series stay few', () => {
  assert.deepEqual(collectAll(['anna', 'boris', 'carla', 'dora'], 2)['user_connections'], {
    anna: 1,
    boris: 2,
    other: 3 + 4,
  })
  assert.deepEqual(collectAll(['anna', 'boris', 'carla', 'dora'], 1)['user_quota_bytes'], { other: 3000 })
  assert.deepEqual(collectAll(['anna', 'boris'], 0)['user_bytes'], {
    'other to_client': 300,
    'other from_client': 30,
  })
})

test('a user who is called as the others are is one of them when there are any, never a second series', () => {
  assert.deepEqual(collectAll(['anna', 'other', 'zoe'], 2)['user_connections'], { anna: 1, other: 2 + 3 })
  assert.deepEqual(collectAll(['anna', 'other'], 2)['user_connections'], { anna: 1, other: 2 })
})

test('what was taken back at the end of a connection is no reset of a counter, for nobody and not in their sum', () => {
  const memory = createLedgerMemory(1)
  const ledger = new UserLedger(memory)
  const rows = new UserRows(memory, 0)
  let users = ['anna', 'boris', 'carla'].map((name) => ({ name, secrets: [], ...ledger.addUser() }))
  const quotas = { read: () => null }
  const bytes = listUserFamilies({ ledger, quotas, users: () => users, limit: 1 }).find(
    ({ name }) => name === 'user_bytes',
  )!
  const sent = (): number[] =>
    bytes
      .collect()
      .filter(({ labels }) => labels['direction'] === 'to_client')
      .map(({ value }) => value)
  const move = (change: number): void => {
    for (const { slot } of users) rows.account(slot).bytesOut += change
    rows.publish()
  }
  for (const { slot, generation } of users) rows.admit(slot, generation)

  move(1000)
  assert.deepEqual(sent(), [1000, 2000])
  move(-300) // as decision O2 has it
  assert.deepEqual(sent(), [1000, 2000])
  move(200)
  assert.deepEqual(sent(), [1000, 2000], 'not counted a second time')
  move(150)
  assert.deepEqual(sent(), [1050, 2100])

  const [anna, ...others] = users
  rows.leave(anna!.slot)
  ledger.removeUser(anna!.slot)
  const next = { name: 'abel', secrets: [], ...ledger.addUser() }
  assert.equal(next.slot, anna!.slot)
  users = [next, ...others]
  assert.deepEqual(sent(), [0, 2100], 'another user in the same place begins at 0')
})
