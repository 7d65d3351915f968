import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listThrottleFamilies } from '#primary/stats/throttle-families'
import type { ThrottleSnapshot } from '#primary/stats/stats-json'

function collect(snapshot: ThrottleSnapshot | null, limit: number): Record<string, unknown[]> {
  return Object.fromEntries(
    listThrottleFamilies(() => snapshot, limit).map((family) => [
      family.name,
      family.collect().map(({ labels, value }) => [...Object.values(labels), value]),
    ]),
  )
}

test('the throttle is shown as it is, with as many caps as there may be series of users', () => {
  const caps = ['anna', 'boris', 'carla'].map((name) => ({ name, cap: 7 }))
  assert.deepEqual(collect({ active: true, limit: 20, caps }, 2), {
    throttle_active: [[1]],
    throttle_limit: [[20]],
    throttle_cap: [
      ['anna', 7],
      ['boris', 7],
    ],
  })
  assert.deepEqual(collect({ active: false, limit: 20, caps: [] }, 2), {
    throttle_active: [[0]],
    throttle_limit: [[20]],
    throttle_cap: [],
  })
})

test('while it is off nothing is shown', () => {
  assert.deepEqual(collect(null, 2), { throttle_active: [], throttle_limit: [], throttle_cap: [] })
})
