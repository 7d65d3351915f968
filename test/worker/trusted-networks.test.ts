import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TrustedNetworks } from '#worker/trusted-networks'

const CASES: readonly [readonly string[], string, boolean][] = [
  [['0.0.0.0/0', '::/0'], '203.0.113.7', true],
  [['0.0.0.0/0', '::/0'], '2001:db8::7', true],
  [['0.0.0.0/0'], '2001:db8::7', false],
  [['::/0'], '203.0.113.7', false],
  [['10.0.0.0/8'], '10.255.0.1', true],
  [['10.0.0.0/8'], '11.0.0.1', false],
  [['127.0.0.1/32', '2001:db8::/32'], '127.0.0.2', false],
  [['127.0.0.1/32', '2001:db8::/32'], '2001:db8:ffff::1', true],
  [['fe80::/10'], 'fe80::1%eth0', true],
]

for (const [networks, address, isTrusted] of CASES) {
  test(`${address} is ${isTrusted ? '' : 'not '}in ${networks.join(', ')}`, () => {
    assert.equal(new TrustedNetworks(networks).has(address), isTrusted)
  })
}
