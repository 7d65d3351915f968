import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { MAX_SLICE_BYTES, MIN_SLICE_BYTES, sizeSlice } from '#shared/state/prepaid'
import { QuotaLedger } from '#shared/state/quota-ledger'
import { createLedgerMemory, type LedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import { isUsedUp, markUsedUp, NO_QUOTA, reopen } from '#shared/state/quota-state'
import { UserRows } from '#shared/state/user-rows'

import { dieBefore } from './die-before.ts'
import { TestThread } from './run-thread.ts'

const MIB = 1024 * 1024

interface Setup {
  readonly memory: LedgerMemory
  readonly ledger: UserLedger
  readonly quotas: QuotaLedger
  readonly rows: readonly UserRows[]
  readonly ended: number[]
  readonly user: { slot: number; generation: number }
  /** As the relay does. */
  readonly move: (thread: number, bytes: number) => void
  readonly publish: () => void
}

/** A user with a connection in each of two threads. */
function setUp(limitBytes: number | null, usedBytes = 0): Setup {
  const memory = createLedgerMemory(2)
  const ledger = new UserLedger(memory)
  const quotas = new QuotaLedger(memory, ledger)
  const user = ledger.addUser()
  if (limitBytes !== null) quotas.begin(user.slot, limitBytes, usedBytes)
  const ended: number[] = []
  const rows = [0, 1].map((thread) => new UserRows(memory, thread, () => ended.push(thread)))
  for (const row of rows) row.admit(user.slot, user.generation)
  const move = (thread: number, bytes: number): void => {
    const account = rows[thread]!.account(user.slot)
    account.bytesOut += bytes
    if ((account.prepaid -= bytes) < 0) account.payMore()
  }
  return {
    memory,
    ledger,
    quotas,
    rows,
    ended,
    user,
    move,
    publish: () => rows.forEach((row) => row.publish()),
  }
}

test('a slice is what is needed, a fair part of what is left, and never more than that', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -MIB, max: 2 ** 52 }),
      fc.integer({ min: 1, max: 4 * MIB }),
      fc.integer({ min: 1, max: 64 }),
      (unspent, needed, threads) => {
        const slice = sizeSlice(unspent, needed, threads)
        assert.ok(slice >= 0 && slice <= Math.max(0, unspent))
        assert.ok(slice >= Math.min(needed, Math.max(0, unspent)), 'what is needed, if it is there')
        assert.ok(slice <= Math.max(needed, MAX_SLICE_BYTES))
        if (slice > Math.max(needed, MIN_SLICE_BYTES)) assert.ok(slice * threads * 8 <= unspent)
      },
    ),
  )
})

test('a quota that is opened again is in another state, for ever, and never in that of none', () => {
  for (const state of [NO_QUOTA, 2, 3, 0x7fff_fffe, 0x7fff_ffff]) {
    const next = reopen(state)
    assert.ok(next !== state && next !== NO_QUOTA && next === (next | 0) && !isUsedUp(next), String(next))
    assert.ok(isUsedUp(markUsedUp(next)))
  }
})

test('eight threads that take slices at once move the quota, one chunk each beside it, and no more', async (t) => {
  const threads = 8
  const memory = createLedgerMemory(threads)
  const ledger = new UserLedger(memory)
  const quotas = new QuotaLedger(memory, ledger)
  const user = ledger.addUser()
  const [limit, chunkBytes] = [256 * MIB, 20_000]
  quotas.begin(user.slot, limit, 0)
  const moved = new SharedArrayBuffer(threads * 8)
  const running = Array.from(
    { length: threads },
    (_, thread) =>
      new TestThread('./quota-thread.ts', { memory, thread, user, chunkBytes, chunksPerTick: 100, moved }),
  )
  await Promise.all(running.map((thread) => thread.message()))
  const total = Number(new BigInt64Array(moved).reduce((sum, bytes) => sum + bytes, 0n))
  t.diagnostic(`${total - limit} bytes beyond the quota`)
  assert.ok(total <= limit + threads * chunkBytes, `${total - limit} bytes too much`)
  assert.ok(total > limit - (threads - 1) * MAX_SLICE_BYTES, `${limit - total} bytes too little`)
  assert.equal(quotas.readUsed(user.slot), total, 'what is used is what was moved')
  assert.ok(quotas.settle(user.slot))
  assert.equal(quotas.repair(user.slot), 0, 'and nothing is lost')
  await Promise.all(running.map((thread) => thread.exit()))
})

test('threads that are killed at any point take nothing of the quota along', async () => {
  const memory = createLedgerMemory(2)
  const ledger = new UserLedger(memory)
  const quotas = new QuotaLedger(memory, ledger)
  const user = ledger.addUser()
  const limit = 2 ** 50
  quotas.begin(user.slot, limit, 0)
  for (let round = 0; round < 8; round++) {
    const moved = new SharedArrayBuffer(16)
    const bytes = new BigInt64Array(moved)
    const options = { memory, thread: 0, user, chunkBytes: 200_000, chunksPerTick: 50, moved }
    const thread = new TestThread('./quota-thread.ts', options)
    while (Atomics.load(bytes, 0) < BigInt(20 * MIB + round * 777_777)) await new Promise(setImmediate)
    await thread.kill()
    ledger.forgetThread(0)
    quotas.repair(user.slot)
    assert.equal(quotas.repair(user.slot), 0)
  }
  const used = quotas.readUsed(user.slot)
  const { bytesIn, bytesOut } = ledger.read(user.slot)
  assert.equal(used, bytesIn + bytesOut)
  // Exactly the rest can be had.
  quotas.change(user.slot, used + MIB, 0)
  const rows = new UserRows(memory, 0)
  assert.equal(rows.admit(user.slot, user.generation), 'admitted')
  const account = rows.account(user.slot)
  account.prepaid -= MIB
  account.bytesIn += MIB
  account.payMore()
  assert.equal(account.prepaid, 0)
  rows.publish()
  assert.equal(quotas.settle(user.slot), false)
  account.prepaid -= 1
  account.bytesIn += 1
  account.payMore()
  assert.ok(quotas.settle(user.slot))
})

test('a thread that dies before any single write leaves nothing that a repair does not put right', () => {
  for (const act of ['pay', 'publish', 'leave', 'end'] as const) {
    let deaths = 0
    for (let writes = 0; ; writes++) {
      const { memory, ledger, quotas, rows, user, move, publish } = setUp(64 * MIB)
      move(0, 1000)
      move(1, 2000)
      publish()
      move(0, 500)
      const step = {
        pay: () => move(0, 3 * MIB),
        publish: () => rows[0]!.publish(),
        leave: () => rows[0]!.leave(user.slot),
        end: () => move(0, 65 * MIB),
      }[act]
      if (!dieBefore(writes, step)) break
      deaths++
      ledger.forgetThread(0)
      quotas.repair(user.slot)
      assert.equal(quotas.repair(user.slot), 0)
      const used = quotas.readUsed(user.slot)
      assert.ok(used === 3000 || used === 3500, `${used} bytes`)
      rows[1]!.leave(user.slot)
      assert.equal(quotas.repair(user.slot), 0)
      if (act === 'end') continue
      // All of the rest is there for others.
      const successor = new UserRows(memory, 0)
      assert.equal(successor.admit(user.slot, user.generation), 'admitted')
      const account = successor.account(user.slot)
      account.prepaid -= 64 * MIB - used
      account.payMore()
      assert.equal(account.prepaid, 0)
    }
    assert.ok(deaths >= 3, `${deaths} places to die in ${act}`)
  }
})

test('the end of a quota is the end in every thread, and for whoever comes', () => {
  const { quotas, rows, ended, user, move, publish } = setUp(10 * MIB)
  move(1, 1000)
  move(0, 20 * MIB) // one chunk
  assert.deepEqual(ended, [0], 'at once where it was seen')
  publish()
  assert.ok(ended.includes(1), 'and with the next publication everywhere else')
  for (const row of rows) assert.equal(row.admit(user.slot, user.generation), 'quota')
  assert.equal(quotas.readUsed(user.slot), 20 * MIB + 1000)
  assert.equal(quotas.repair(user.slot), 0)
})

test('what a thread does not use is there for the others with the next publication', () => {
  const { ended, move, publish } = setUp(MIB)
  move(0, 1)
  publish() // that thread was busy
  publish() // and is not any more
  move(1, MIB - 1)
  assert.deepEqual(ended, [])
  move(1, 1)
  assert.deepEqual(ended, [1])
})

test('a thread lets go of what it has with the last connection of the user', () => {
  const { quotas, rows, ended, user, move } = setUp(MIB)
  move(0, 1)
  rows[0]!.leave(user.slot)
  move(1, MIB - 1)
  assert.deepEqual(ended, [])
  assert.equal(quotas.repair(user.slot), 0)
})

test('a larger quota opens at once, a smaller one ends, none lets everything pass, and all is counted on', () => {
  const { quotas, rows, ended, user, move, publish } = setUp(MIB)
  move(0, 2 * MIB)
  publish()
  quotas.change(user.slot, 4 * MIB, 0)
  ended.length = 0
  assert.equal(rows[0]!.admit(user.slot, user.generation), 'admitted')
  move(0, MIB)
  publish()
  assert.deepEqual(ended, [])
  assert.equal(quotas.repair(user.slot), 0)

  quotas.change(user.slot, 2 * MIB, 0)
  assert.equal(rows[0]!.admit(user.slot, user.generation), 'quota')
  publish()
  assert.deepEqual(new Set(ended), new Set([0, 1]))

  quotas.remove(user.slot)
  publish()
  ended.length = 0
  move(0, 100 * MIB)
  publish()
  assert.deepEqual(ended, [])
  quotas.begin(user.slot, MIB, 0)
  publish()
  assert.equal(quotas.readUsed(user.slot), 0)
  move(1, 2 * MIB)
  assert.deepEqual(ended, [1])
})

test('a smaller quota ends with what was moved before it and is published after it', () => {
  const { user, quotas, ended, move, publish } = setUp(10 * MIB)
  move(0, 3 * MIB)
  quotas.change(user.slot, 2 * MIB, 0)
  assert.equal(quotas.settle(user.slot), false, 'nobody knows yet')
  publish()
  assert.deepEqual(ended, [])
  assert.equal(quotas.settle(user.slot), true)
  publish()
  assert.deepEqual(ended, [0, 1])
})

test('a smaller quota of which threads hold more than is left does not end before it is moved', () => {
  const { user, quotas, move, publish } = setUp(100 * MIB)
  move(0, 1000) // of a slice of a megabyte
  publish()
  quotas.change(user.slot, 2000, 0)
  assert.equal(quotas.settle(user.slot), false)
  move(0, 1000)
  publish()
  assert.equal(quotas.settle(user.slot), false, 'all of it is not more than all')
  move(0, 1)
  publish()
  assert.equal(quotas.settle(user.slot), true)
})

test('a quota that is set while bytes move is exact after the next repair', () => {
  const { quotas, user, move, publish } = setUp(null)
  move(0, 5 * MIB)
  publish()
  quotas.begin(user.slot, 10 * MIB, 0)
  move(0, 3 * MIB) // the thread does not know it yet
  publish()
  assert.equal(quotas.readUsed(user.slot), 3 * MIB)
  assert.equal(quotas.repair(user.slot), 1)
  assert.equal(quotas.repair(user.slot), 0)
})

test('a quota that is set anew while threads still hold some of the old one is exact at once', () => {
  const { quotas, rows, ended, user, move } = setUp(MIB)
  move(0, 1000)
  assert.ok(rows[0]!.account(user.slot).prepaid > 0)
  quotas.remove(user.slot)
  quotas.begin(user.slot, MIB, 0) // before any of them has looked
  assert.equal(quotas.repair(user.slot), 0)
  rows[0]!.leave(user.slot)
  move(1, MIB - 1000)
  assert.deepEqual(ended, [])
  move(1, 1)
  assert.deepEqual(ended, [1])
})

test('what a thread that dies had taken and not moved is there for the others at once', () => {
  const { ledger, quotas, rows, ended, user, move, publish } = setUp(MIB)
  move(0, 1000)
  publish()
  assert.ok(rows[0]!.account(user.slot).prepaid > 0)
  ledger.forgetThread(0)
  assert.equal(quotas.repair(user.slot), 0)
  move(1, MIB - 1000)
  assert.deepEqual(ended, [])
})

test('who sees the end of a quota while it is renewed takes of the new one, and does not end it', (t) => {
  const { quotas, rows, ended, user, move } = setUp(MIB)
  move(0, MIB)
  const { compareExchange } = Atomics
  let isRenewed = false
  t.mock.method(
    Atomics,
    'compareExchange',
    (cells: Int32Array, at: number, expected: number, next: number) => {
      // The end is about to be written: all other exchanges here are of BigInts.
      if (!isRenewed && cells instanceof Int32Array) {
        isRenewed = true
        quotas.change(user.slot, 3 * MIB, 0)
      }
      return compareExchange(cells, at, expected, next)
    },
  )
  move(0, 1000)
  assert.ok(isRenewed)
  assert.deepEqual(ended, [])
  assert.equal(quotas.settle(user.slot), false)
  assert.ok(rows[0]!.account(user.slot).prepaid >= 0)
  assert.equal(rows[1]!.admit(user.slot, user.generation), 'admitted')
})

test('what was counted and never sent is given back', () => {
  const { quotas, rows, ended, user, move, publish } = setUp(MIB)
  move(0, MIB)
  const account = rows[0]!.account(user.slot)
  account.bytesOut -= 1000 // as at the end of a connection
  account.prepaid += 1000
  publish()
  assert.equal(quotas.readUsed(user.slot), MIB - 1000)
  assert.equal(quotas.repair(user.slot), 0)
  move(1, 1)
  assert.deepEqual(ended, [1], 'the other thread holds it still')
})

test('the place of a user who is gone goes to one without a quota, whoever was told first', () => {
  const { ledger, rows, user, move } = setUp(MIB)
  move(0, 2 * MIB)
  rows.forEach((row) => row.leave(user.slot))
  ledger.removeUser(user.slot)
  const next = ledger.addUser()
  assert.equal(next.slot, user.slot)
  assert.equal(rows[0]!.admit(next.slot, next.generation), 'admitted')
  assert.equal(rows[0]!.account(next.slot).prepaid, Infinity)
})
