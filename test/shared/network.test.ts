import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { plainAddress, toNetwork } from '#shared/network'

test('IPv4 clients of a dual-stack listener are IPv4, all others are as they come', () => {
  assert.equal(plainAddress('::ffff:192.0.2.7'), '192.0.2.7')
  for (const address of ['192.0.2.7', '2001:db8::1', '::1', '::ffff:0:1', '64:ff9b::192.0.2.7']) {
    assert.equal(plainAddress(address), address)
  }
})

test('neighbours share a /24, and nobody else does', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.nat(255), fc.nat(255), (address, last, third) => {
      const parts = address.split('.')
      const neighbour = [...parts.slice(0, 3), last].join('.')
      assert.equal(toNetwork(neighbour), toNetwork(address))
      const stranger = [parts[0], parts[1], third, last].join('.')
      assert.equal(toNetwork(stranger) === toNetwork(address), String(third) === parts[2])
    }),
  )
})

test('neighbours share a /64 however their addresses are written', () => {
  const same = [
    '2001:db8:1:2::1',
    '2001:DB8:1:2:ffff:ffff:ffff:ffff',
    '2001:0db8:0001:0002:0:0:0:9',
    '2001:db8:1:2::1%eth0',
  ]
  assert.equal(new Set(same.map(toNetwork)).size, 1)
  const others = ['2001:db8:1:3::1', '2001:db8:1::2', '::1', 'fe80::1', '::']
  assert.equal(new Set([...others, same[0] ?? ''].map(toNetwork)).size, 5)
})

test('a network has one key for any address, and no address is refused', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      assert.equal(toNetwork(address), toNetwork(address.toUpperCase()))
    }),
  )
})
