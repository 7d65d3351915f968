import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { HostPort } from '#shared/dc'
import { AddressHealth } from '#shared/dial/address-health'

const at = (host: string, port = 443): HostPort => ({ host, port })
const [A, B, C] = [at('10.0.0.1'), at('10.0.0.2'), at('::1')] as const
const DOUBT_MS = 60_000

test('an address that failed goes last for a minute, then is trusted again', () => {
  const health = new AddressHealth()
  health.reportFailure(A, 1000)
  assert.deepEqual(health.sort([A, B, C], 1000), [B, C, A])
  assert.deepEqual(health.sort([A, B, C], 1000 + DOUBT_MS - 1), [B, C, A])
  assert.deepEqual(health.sort([A, B, C], 1000 + DOUBT_MS), [A, B, C])
})

test('a success ends the doubt, a later failure renews it', () => {
  const health = new AddressHealth()
  health.reportFailure(A, 0)
  health.reportSuccess(A)
  assert.deepEqual(health.sort([A, B], 1), [A, B])
  health.reportFailure(A, 0)
  health.reportFailure(A, DOUBT_MS - 1)
  assert.deepEqual(health.sort([A, B], DOUBT_MS), [B, A])
})

test('doubt is cast on an address with its port, not on a host', () => {
  const health = new AddressHealth()
  health.reportFailure(at('10.0.0.1', 443), 0)
  const other = at('10.0.0.1', 8443)
  assert.deepEqual(health.sort([A, other], 1), [other, A])
})

test('sorting loses and doubles no address and keeps the order within both groups', () => {
  const pool = [A, B, C, at('10.0.0.4'), at('10.0.0.5')]
  fc.assert(
    fc.property(fc.shuffledSubarray(pool), fc.subarray(pool), (order, failed) => {
      const health = new AddressHealth()
      for (const address of failed) health.reportFailure(address, 5)
      const good = order.filter((address) => !failed.includes(address))
      const doubtful = order.filter((address) => failed.includes(address))
      assert.deepEqual(health.sort(order, 6), [...good, ...doubtful])
    }),
  )
})

test('a million failing addresses do not fill the memory', () => {
  const health = new AddressHealth()
  for (let i = 0; i < 1_000_000; i += 97)
    health.reportFailure(at(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`), 0)
  health.reportFailure(A, 0)
  assert.deepEqual(health.sort([A, B], 1), [B, A], 'the latest failure is remembered')
  const forgotten = at('10.0.0.0')
  assert.deepEqual(health.sort([forgotten, B], 1), [forgotten, B], 'the oldest is not')
})
