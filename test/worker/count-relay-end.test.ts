import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { QuotaLedger } from '#shared/state/quota-ledger'
import { UserLedger } from '#shared/state/user-ledger'
import { UserRows } from '#shared/state/user-rows'
import type { Connection } from '#worker/connection'
import { countRelayEnd } from '#worker/count-relay-end'

test('what was written and never left is taken off the user, and given back to the quota', () => {
  const counters = createCountersMemory(1)
  const row = new CounterRow(counters, 0)
  const memory = createLedgerMemory(1)
  const ledger = new UserLedger(memory)
  const quotas = new QuotaLedger(memory, ledger)
  const users = new UserRows(memory, 0)
  const user = ledger.addUser()
  quotas.begin(user.slot, 100_000, 0)
  assert.equal(users.admit(user.slot, user.generation), 'admitted')
  const account = users.account(user.slot)
  account.bytesOut += 5000
  if ((account.prepaid -= 5000) < 0) account.payMore()

  const tally = { up: 0, down: 5000, lastActiveMs: 0 }
  const connection = {
    client: { unsentBytes: 1200 },
    tally,
    userKey: { user },
    thread: { users, counters: row },
  }
  countRelayEnd(connection as unknown as Connection, 'relaying', 'client-error') // all that is asked of it
  users.leave(user.slot)
  assert.equal(tally.down, 3800)
  assert.equal(ledger.read(user.slot).bytesOut, 3800)
  assert.equal(quotas.readUsed(user.slot), 3800)
  assert.equal(quotas.repair(user.slot), 0, 'quota and count agree')
  row.publish()
  const ended = new CounterSums(counters).sum(slot('relays_ended', { to: 'telegram', how: 'client-error' }))
  assert.equal(ended, 1)
})
