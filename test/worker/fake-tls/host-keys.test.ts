import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HostKeys, RECENT_KEYS, type UserKey } from '#worker/fake-tls/host-keys'
import { keyByKey } from '#worker/key-search/key-by-key'

const userKey = (slot: number): UserKey => {
  const key = Buffer.alloc(16, 1)
  key.writeUInt32BE(slot)
  return { user: { name: `u${slot}`, slot, generation: 1, secrets: [] }, key, host: 'a.example' }
}

test('likely keys are those of the hinted users, then the ones used last, each once and no more than asked for', () => {
  const keys = new HostKeys(keyByKey)
  const all = Array.from({ length: 100 }, (_, slot) => userKey(slot))
  keys.replace(all)
  assert.deepEqual(keys.findLikely([], 50), [])
  assert.deepEqual(keys.findLikely([7, 1000, 3], 50), [7, 3])
  for (const used of all) keys.remember(used)
  const recent = keys.findLikely([], 100)
  assert.equal(recent.length, RECENT_KEYS)
  assert.deepEqual(recent.slice(0, 3), [99, 98, 97])
  assert.deepEqual(keys.findLikely([98, 2], 4), [98, 2, 99, 97])
  keys.remember(all[97]!)
  assert.deepEqual(keys.findLikely([], 2), [97, 99])
})

test('after a reload what was used last stands at its new places, without those who are gone', () => {
  const keys = new HostKeys(keyByKey)
  const all = Array.from({ length: 10 }, (_, slot) => userKey(slot))
  keys.replace(all)
  for (const slot of [2, 9, 5]) keys.remember(all[slot]!)
  const { version } = keys
  keys.replace(all.slice(4))
  assert.notEqual(keys.version, version)
  assert.deepEqual(keys.findLikely([], 10), [1, 5])
  keys.remember(all[2]!) // its search was over just before
  assert.deepEqual(keys.findLikely([], 10), [1, 5])
  // The same slot with another key is somebody else.
  keys.replace([{ ...userKey(5), key: Buffer.alloc(16, 9) }, userKey(9)])
  assert.deepEqual(keys.findLikely([], 10), [1])
})
