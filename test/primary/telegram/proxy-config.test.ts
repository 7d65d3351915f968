import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  chooseReach,
  MAX_PUBLISHED_ADDRESSES,
  parseProxyConfig as parse,
  type PublishedAddresses,
} from '#primary/telegram/proxy-config'

const SOURCE = 'https://core.telegram.org/getProxyConfig'
const parseProxyConfig = (body: string, family: 4 | 6, url = SOURCE): PublishedAddresses =>
  parse(body, family, chooseReach(url))

test('addresses of DC 203 are taken, those of middle proxies are not', () => {
  const body = `# force_probability 10 10
default 2;
proxy_for 1 149.154.175.50:8888;
proxy_for -203 91.105.192.110:443;
proxy_for 203 91.105.192.100:443;
 proxy_for 203 91.105.192.101:8443; \r
proxy_for 203 91.105.192.100:443;
proxy_for 2030 91.105.192.102:443;
`
  assert.deepEqual(parseProxyConfig(body, 4), {
    addresses: [
      { host: '91.105.192.100', port: 443 },
      { host: '91.105.192.101', port: 8443 },
    ],
    refused: 0,
  })
  assert.deepEqual(parseProxyConfig('proxy_for 203 [2a0a:f280:203:a:5000::100]:443;', 6), {
    addresses: [{ host: '2a0a:f280:203:a:5000::100', port: 443 }],
    refused: 0,
  })
})

test('what is no address is refused and counted', () => {
  const refused = [
    'evil.example:443',
    '91.105.192.100',
    '91.105.192.100:0',
    '91.105.192.100:65536',
    '91.105.192.100:443x',
    '91.105.192.300:443',
    '91.105.192:443',
    '::1:443',
    '[::1]:443',
    '',
  ]
  for (const text of refused)
    assert.deepEqual(
      parseProxyConfig(`proxy_for 203 ${text};`, 4),
      { addresses: [], refused: 1 },
      `"${text}"`,
    )
  for (const text of ['[fe80::1%lo]:443', '[::g]:443', '1.2.3.4:443', '[1.2.3.4]:443', '[::1]443'])
    assert.deepEqual(parseProxyConfig(`proxy_for 203 ${text};`, 6), { addresses: [], refused: 1 }, text)
})

test('a place on the Internet cannot send us into networks of our own; a server in one of them can', () => {
  const inside: [address: string, family: 4 | 6][] = [
    ['127.0.0.1', 4],
    ['10.1.2.3', 4],
    ['192.168.0.1', 4],
    ['169.254.169.254', 4],
    ['100.64.0.1', 4],
    ['0.0.0.0', 4],
    ['224.0.0.1', 4],
    ['[::1]', 6],
    ['[fd00::1]', 6],
    ['[fe80::1]', 6],
    ['[::ffff:127.0.0.1]', 6],
    ['[64:ff9b::7f00:1]', 6],
  ]
  for (const [address, family] of inside) {
    const line = `proxy_for 203 ${address}:443;`
    for (const url of [SOURCE, 'https://91.105.192.100/', 'https://[2a0a:f280::1]/'])
      assert.deepEqual(parseProxyConfig(line, family, url), { addresses: [], refused: 1 }, address)
    for (const url of ['http://127.0.0.1:1/', 'http://[::1]/', 'http://10.0.0.1/'])
      assert.equal(parseProxyConfig(line, family, url).addresses.length, 1, address)
  }
})

test('lines of another shape say nothing', () => {
  for (const line of [
    'proxy_for 203 1.2.3.4:443',
    'proxy_for 203  1.2.3.4:443;',
    'xproxy_for 203 1.2.3.4:443;',
    '',
  ])
    assert.deepEqual(parseProxyConfig(line, 4), { addresses: [], refused: 0 }, line)
})

test('there are never more than a table has room for', () => {
  const lines = Array.from({ length: 100 }, (_, at) => `proxy_for 203 91.105.192.${at}:443;`)
  const { addresses, refused } = parseProxyConfig(lines.join('\n'), 4)
  assert.deepEqual([addresses.length, refused], [MAX_PUBLISHED_ADDRESSES, 100 - MAX_PUBLISHED_ADDRESSES])
})

test('any text gives addresses of the family, and nothing else', () => {
  const token = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.constantFrom('[', ']', ':443', ';', ' '))
  const line = fc.array(token, { maxLength: 5 }).map((parts) => `proxy_for 203 ${parts.join('')};`)
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom(4 as const, 6 as const), (lines, family) => {
      for (const { host, port } of parseProxyConfig(lines.join('\n'), family).addresses) {
        assert.equal(host.includes(':'), family === 6)
        assert.ok(port >= 1 && port <= 65_535)
      }
    }),
  )
})
