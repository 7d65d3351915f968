import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { AddressHealth, createHealthMemory, PROBE_INTERVAL_MS } from '#shared/dial/address-health'

import { TestThread } from '../state/run-thread.ts'

const [A, B] = ['10.0.0.1:443', '[::1]:443'] as const

test('an address that failed is in doubt until it answers, however long that takes', () => {
  const health = new AddressHealth(createHealthMemory())
  assert.equal(health.isDoubtful(A), false)
  health.reportFailure(A, 0)
  assert.deepEqual([health.isDoubtful(A), health.isDoubtful(B)], [true, false])
  health.reportFailure(A, 100 * PROBE_INTERVAL_MS)
  assert.equal(health.isDoubtful(A), true)
  health.reportSuccess(A)
  assert.equal(health.isDoubtful(A), false)
})

test('a doubtful address is to be looked at once a minute, a good one never', () => {
  const health = new AddressHealth(createHealthMemory())
  health.reportFailure(A, 1000)
  assert.equal(health.claimProbe(A, 1000 + PROBE_INTERVAL_MS - 1), false)
  assert.equal(health.claimProbe(A, 1000 + PROBE_INTERVAL_MS), true)
  assert.equal(health.claimProbe(A, 1000 + PROBE_INTERVAL_MS), false, 'somebody is at it')
  assert.equal(health.claimProbe(A, 1000 + 2 * PROBE_INTERVAL_MS), true)
  health.reportSuccess(A)
  assert.equal(health.claimProbe(A, 1000 + 9 * PROBE_INTERVAL_MS), false)
  assert.equal(health.claimProbe(B, 1e9), false)
})

test('what is known of one address does not rub off on others', () => {
  const addresses = fc.uniqueArray(
    fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map((parts) => parts.join(':')),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(addresses, fc.infiniteStream(fc.boolean()), (all, fails) => {
      const health = new AddressHealth(createHealthMemory())
      const failed = new Set(all.filter(() => fails.next().value))
      for (const address of failed) health.reportFailure(address, 5)
      for (const address of all) assert.equal(health.isDoubtful(address), failed.has(address))
    }),
  )
})

test('a million failing addresses do not fill the memory: the latest is known', () => {
  const health = new AddressHealth(createHealthMemory())
  const first = '10.0.0.0:443'
  for (let i = 0; i < 1_000_000; i += 97) {
    health.reportFailure(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:443`, i)
  }
  health.reportFailure(A, 2_000_000)
  assert.equal(health.isDoubtful(A), true)
  assert.equal(health.isDoubtful(first), false)
})

test('what one thread finds out all threads know, and one of them looks again', async () => {
  const memory = createHealthMemory()
  const health = new AddressHealth(memory)
  health.reportFailure(A, 0)
  const threads = [0, 1, 2, 3].map(
    () =>
      new TestThread('../dial/health-thread.ts', { memory, doubted: A, failed: B, nowMs: PROBE_INTERVAL_MS }),
  )
  const answers = (await Promise.all(threads.map((thread) => thread.message()))) as {
    doubts: boolean
    claims: boolean
  }[] // what the fixture posts
  assert.ok(answers.every(({ doubts }) => doubts))
  assert.equal(answers.filter(({ claims }) => claims).length, 1)
  assert.equal(health.isDoubtful(B), true)
  await Promise.all(threads.map((thread) => thread.exit()))
})
