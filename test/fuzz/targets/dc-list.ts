import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { chooseReach, MAX_PUBLISHED_ADDRESSES, parseProxyConfig } from '#primary/telegram/proxy-config'
import { stateless, type Target } from '../target.ts'

const SOURCE = 'https://core.telegram.org/getProxyConfig'

const line = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc
      .tuple(fc.constantFrom(1, 203, -203, 2), fc.ipV4(), fc.nat(70_000))
      .map(([dc, ip, port]) => `proxy_for ${dc} ${ip}:${port};`),
    fc.tuple(fc.ipV6(), fc.nat(70_000)).map(([ip, port]) => `proxy_for 203 [${ip}]:${port};`),
    fc.constantFrom('# force_probability 10 10', 'default 2;', ''),
    fc.string(),
  )

export const dcList: Target = {
  name: 'dc-list',
  inputs: fc.array(line(), { maxLength: 40 }).map((lines) => Buffer.from(lines.join('\n'))),
  dictionary: [
    'proxy_for 203 ',
    'proxy_for 203 127.0.0.1:443;\n',
    'proxy_for 203 [::1]:443;\n',
    '[',
    ']',
    ';',
    '%eth0',
    ':0;',
  ],
  maxBytes: 65_536,
  limitMs: 250,
  open: () =>
    stateless((input) => {
      for (const family of [4, 6] as const) {
        const { addresses, refused } = parseProxyConfig(input.toString(), family, chooseReach(SOURCE))
        assert.ok(addresses.length <= MAX_PUBLISHED_ADDRESSES && refused >= 0)
        for (const { host, port } of addresses) {
          assert.equal(isIP(host), family)
          assert.equal(ipaddr.process(host).range(), 'unicast')
          assert.ok(!host.includes('%') && port >= 1 && port <= 65_535)
        }
      }
    }),
}
