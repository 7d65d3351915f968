import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Knowledge } from '#primary/doppelganger/knowledge'
import type { Loot } from '#primary/doppelganger/scout'
import { UNLEARNT_PROFILE, type FrontFlights } from '#shared/traffic-profile'
import { seededRandom } from '../../support/seeded-random.ts'

const loot = (more: Partial<Loot>): Loot => ({ gapsNs: [], flightBytes: [], failedRounds: 0, ...more })
const exponential = (samples: number, meanNs: number, seed = 1): number[] => {
  const random = seededRandom(seed)
  return Array.from({ length: samples }, () => Math.round(-Math.log(1 - random()) * meanNs))
}
const FLIGHT = {
  cipherSuite: 0x1301,
  group: 0x001d,
  extensions: [0x2b, 0x33],
  encryptedBytes: [3000],
  recordBytes: [2995],
  tickets: 2,
}
const FLIGHTS: FrontFlights = { hybrid: FLIGHT, classic: FLIGHT }

test('nothing is known before a hundred gaps and three handshakes', () => {
  const knowledge = new Knowledge()
  assert.deepEqual(knowledge.profile, UNLEARNT_PROFILE)
  assert.deepEqual(knowledge.addLoot(loot({ gapsNs: exponential(99, 2e6), flightBytes: [2000, 2100] })), {
    delays: null,
    noise: null,
  })
  assert.deepEqual(knowledge.profile, UNLEARNT_PROFILE)
  const { delays, noise } = knowledge.addLoot(loot({ gapsNs: [2e6], flightBytes: [2300] }))
  assert.ok(delays !== null && delays !== 'misfit')
  assert.ok(Math.abs(delays.k - 1) < 0.25, `exponential gaps have k = 1, not ${delays.k}`)
  assert.deepEqual(noise, { meanBytes: 2133, jitterBytes: 167 })
  assert.deepEqual(knowledge.profile, { delays, noise, flights: new Map() })
})

test('sizes that hardly differ get a jitter of 100 bytes', () => {
  const { noise } = new Knowledge().addLoot(loot({ flightBytes: [3000, 3001, 3002] }))
  assert.deepEqual(noise, { meanBytes: 3001, jitterBytes: 100 })
})

test('the newest 4096 samples count', () => {
  const knowledge = new Knowledge()
  knowledge.addLoot(loot({ gapsNs: exponential(4096, 50e6) }))
  const { delays } = knowledge.addLoot(loot({ gapsNs: exponential(4096, 1e6, 2) }))
  assert.equal(knowledge.gapSamples, 4096)
  assert.ok(delays !== null && delays !== 'misfit')
  assert.ok(Math.abs(delays.lambdaMs - 1) < 0.1, `λ = ${delays.lambdaMs}: the old site is still in it`)
})

test('gaps of another law leave the delays as they were', () => {
  const knowledge = new Knowledge()
  const { delays: before } = knowledge.addLoot(loot({ gapsNs: exponential(500, 2e6) }))
  // 100 ns or 50 ms, nothing between: the best Weibull law of that has a mean of half a second.
  const gapsNs = Array.from({ length: 4096 }, (_, i) => (i % 2 === 0 ? 50e6 : 100))
  const { delays } = knowledge.addLoot(loot({ gapsNs }))
  assert.equal(delays, 'misfit')
  assert.deepEqual(knowledge.profile.delays, before)
})

test('other pages begin anew; hosts that left are forgotten', () => {
  const knowledge = new Knowledge()
  knowledge.addLoot(loot({ gapsNs: exponential(500, 2e6), flightBytes: [1, 2, 3] }))
  knowledge.addFlights('a.test', FLIGHTS)
  knowledge.addFlights('b.test', FLIGHTS)
  knowledge.keepFlights(['b.test'])
  knowledge.forgetPages()
  assert.deepEqual(knowledge.profile, { ...UNLEARNT_PROFILE, flights: new Map([['b.test', FLIGHTS]]) })
  assert.equal(knowledge.gapSamples, 0)
})
