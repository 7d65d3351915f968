import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNews, UserHints } from '#shared/user-hints'

/** As in the program: whoever is no news is not told of. */
function see(hints: UserHints, address: string, userSlot: number): boolean {
  if (!isNews(hints.find(address), userSlot)) return false
  hints.remember(address, userSlot)
  return true
}

test('a network has its last users, the last one first, and not those of its neighbours', () => {
  const hints = new UserHints()
  assert.deepEqual(hints.find('192.0.2.1'), [])
  hints.remember('192.0.2.1', 5)
  hints.remember('192.0.2.77', 6)
  hints.remember('192.0.3.1', 7)
  hints.remember('192.0.2.1', 5)
  assert.deepEqual(hints.find('192.0.2.255'), [5, 6])
  assert.deepEqual(hints.find('192.0.3.2'), [7])
  hints.remember('2001:db8::1', 8)
  assert.deepEqual(hints.find('2001:db8::ffff:1'), [8])
  assert.deepEqual(hints.find('2001:db8:0:1::1'), [])
})

test('a family is learnt once and costs no message afterwards', () => {
  const hints = new UserHints()
  const family = [1, 2, 3, 4]
  for (const user of family) assert.ok(see(hints, '192.0.2.1', user))
  for (let round = 0; round < 3; round++) for (const user of family) assert.ok(!see(hints, '192.0.2.1', user))
})

test('behind a NAT of many those who come often stay in the list, which has an end', () => {
  const hints = new UserHints()
  for (let passer = 100; passer < 200; passer++) {
    see(hints, '192.0.2.1', 1)
    see(hints, '192.0.2.1', passer)
    assert.ok(hints.find('192.0.2.1').includes(1))
  }
  assert.equal(hints.find('192.0.2.1').length, 8)
})
