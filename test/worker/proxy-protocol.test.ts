import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { buildProxyHeader, parseProxyHeader } from '#worker/proxy-protocol'
import { bytes } from '../support/generators.ts'
import { encodeV1, encodeV2, encodeV2Ipv4, encodeV2Ipv6 } from '../support/proxy-header.ts'

const HELLO = Buffer.from('1603010200\r\n PROXY', 'latin1')
const MAPPED = Buffer.from('00000000000000000000ffffcb007107', 'hex')
const v1 = (text: string): Buffer => Buffer.from(`${text}\r\n`, 'latin1')
const v2 = (command: number, family: number, length: number): Buffer =>
  encodeV2({ command, family, addresses: Buffer.alloc(length, 1) })

const CLIENT = { host: '203.0.113.7', port: 51234 }
/** Header, and who it names; null is nobody. */
const VALID: readonly [string, Buffer, { host: string; port: number } | null][] = [
  ['v1 TCP4', v1('PROXY TCP4 203.0.113.7 198.51.100.1 51234 443'), CLIENT],
  [
    'v1 TCP4, least and largest',
    v1('PROXY TCP4 0.0.0.0 255.255.255.255 0 65535'),
    { host: '0.0.0.0', port: 0 },
  ],
  ['v1 TCP6', v1('PROXY TCP6 2001:DB8::7 2001:db8::1 51234 443'), { host: '2001:db8::7', port: 51234 }],
  ['v1 TCP6, mapped', v1('PROXY TCP6 ::ffff:203.0.113.7 ::ffff:198.51.100.1 51234 443'), CLIENT],
  ['v1 TCP6, mapped in hex', v1('PROXY TCP6 ::ffff:cb00:7107 ::1 51234 443'), CLIENT],
  ['v1 UNKNOWN', v1('PROXY UNKNOWN'), null],
  ['v1 UNKNOWN with addresses', v1('PROXY UNKNOWN ffff::1 whatever 65535 x'), null],
  ['v1, 107 bytes', v1(`PROXY UNKNOWN ${'f'.repeat(91)}`), null],
  ['v2 TCP over IPv4', encodeV2Ipv4('203.0.113.7', 51234), CLIENT],
  [
    'v2 TCP over IPv4 with TLVs',
    encodeV2Ipv4('203.0.113.7', 51234, Buffer.from('0400030000aa', 'hex')),
    CLIENT,
  ],
  ['v2 with as many TLVs as are taken', encodeV2Ipv4('203.0.113.7', 51234, Buffer.alloc(4084)), CLIENT],
  [
    'v2 TCP over IPv6',
    encodeV2Ipv6(Buffer.from('20010db8000000000000000000000007', 'hex'), 1),
    { host: '2001:db8::7', port: 1 },
  ],
  ['v2 TCP over IPv6, mapped', encodeV2Ipv6(MAPPED, 51234), CLIENT],
  ['v2 LOCAL', v2(0x20, 0x00, 0), null],
  ['v2 LOCAL with an address', v2(0x20, 0x11, 12), null],
  ['v2 LOCAL with too short an address', v2(0x20, 0x21, 3), null],
  ['v2 unspecified', v2(0x21, 0x00, 0), null],
  ['v2 unspecified with bytes', v2(0x21, 0x00, 7), null],
  ['v2 UDP over IPv4', v2(0x21, 0x12, 12), null],
  ['v2 UDP over IPv6', v2(0x21, 0x22, 36), null],
  ['v2 IPv4 without a transport', v2(0x21, 0x10, 12), null],
  ['v2 UNIX stream', v2(0x21, 0x31, 216), null],
  ['v2 UNIX datagram', v2(0x21, 0x32, 216), null],
]

const MALFORMED: readonly [string, Buffer][] = [
  ['v1 without a protocol', v1('PROXY ')],
  ['v1 of another protocol', v1('PROXY UDP4 203.0.113.7 198.51.100.1 51234 443')],
  ['v1 in lower case behind the prefix', v1('PROXY tcp4 203.0.113.7 198.51.100.1 51234 443')],
  ['v1 TCP4 with IPv6', v1('PROXY TCP4 2001:db8::7 2001:db8::1 51234 443')],
  ['v1 TCP6 with IPv4', v1('PROXY TCP6 203.0.113.7 198.51.100.1 51234 443')],
  ['v1 with a bad source', v1('PROXY TCP4 203.0.113.256 198.51.100.1 51234 443')],
  ['v1 with a bad destination', v1('PROXY TCP4 203.0.113.7 x 51234 443')],
  ['v1 with a zone', v1('PROXY TCP6 fe80::1%eth0 2001:db8::1 51234 443')],
  ['v1 with a port too many', v1('PROXY TCP4 203.0.113.7 198.51.100.1 51234 443 1')],
  ['v1 with a port too few', v1('PROXY TCP4 203.0.113.7 198.51.100.1 51234')],
  ['v1 with a port above 65535', v1('PROXY TCP4 203.0.113.7 198.51.100.1 65536 443')],
  ['v1 with a leading zero', v1('PROXY TCP4 203.0.113.7 198.51.100.1 051 443')],
  ['v1 with a negative port', v1('PROXY TCP4 203.0.113.7 198.51.100.1 -1 443')],
  ['v1 with two spaces', v1('PROXY TCP4  203.0.113.7 198.51.100.1 51234 443')],
  [
    'v1 with a lone carriage return',
    Buffer.from('PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\rX', 'latin1'),
  ],
  ['v1 of 108 bytes', v1(`PROXY UNKNOWN ${'f'.repeat(92)}`)],
  ['v1 without an end', Buffer.from(`PROXY UNKNOWN ${'f'.repeat(93)}`, 'latin1')],
  ['v2 of version 1', v2(0x11, 0x11, 12)],
  ['v2 of version 3', v2(0x31, 0x11, 12)],
  ['v2 with an unknown command', v2(0x22, 0x11, 12)],
  ['v2 of an unknown family', v2(0x21, 0x41, 12)],
  ['v2 of an unknown transport', v2(0x21, 0x13, 12)],
  ['v2 with an IPv4 address too short', v2(0x21, 0x11, 11)],
  ['v2 with an IPv6 address too short', v2(0x21, 0x21, 35)],
  ['v2 with more than is taken', v2(0x21, 0x11, 4097)],
  ['v2 with the most it can say', v2(0x20, 0x00, 0xffff)],
]

const ABSENT: readonly [string, Buffer][] = [
  ['a ClientHello', Buffer.from('160301020001', 'hex')],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
  ['HTTP PROPFIND', Buffer.from('PROPFIND / HTTP/1.1\r\n')],
  ['a prefix in lower case', Buffer.from('proxy TCP4 ')],
  ['a signature with a flaw', Buffer.from('\r\n\r\n\0\r\nQUIT\r', 'latin1')],
]

for (const [name, header, source] of VALID) {
  test(`${name}: ${source === null ? 'nobody' : source.host}, wherever it is cut`, () => {
    for (let end = 0; end < header.length; end++)
      assert.equal(parseProxyHeader(header.subarray(0, end)), 'incomplete', `cut at ${end}`)
    const version = header[0] === 0x50 ? 1 : 2
    const expected = { ok: true, version, source, headerBytes: header.length }
    assert.deepEqual(parseProxyHeader(header), expected)
    assert.deepEqual(parseProxyHeader(Buffer.concat([header, HELLO])), expected, 'with a hello behind it')
  })
}

for (const [name, header] of MALFORMED) {
  test(`${name}: malformed`, () => {
    assert.deepEqual(parseProxyHeader(Buffer.concat([header, HELLO])), { ok: false, code: 'malformed' })
    for (let end = 0; end < header.length; end++) {
      const parsed = parseProxyHeader(header.subarray(0, end))
      assert.ok(parsed === 'incomplete' || !parsed.ok, `cut at ${end}`) // never taken for a whole one
    }
  })
}

for (const [name, first] of ABSENT) {
  test(`${name}: no header, told by the first byte that is none`, () => {
    const verdicts = first.keys().map((end) => parseProxyHeader(first.subarray(0, end + 1)))
    assert.deepEqual(verdicts.filter((verdict) => verdict !== 'incomplete').toArray()[0], {
      ok: false,
      code: 'absent',
    })
  })
}

const port = (): fc.Arbitrary<number> => fc.nat({ max: 0xffff })

test('a client of any address is named, by version 1 and by version 2 with any TLVs', () => {
  fc.assert(
    fc.property(fc.ipV4(), port(), bytes(0, 300), (host, from, tlvs) => {
      const source = { host, port: from }
      for (const header of [encodeV1(host, from), encodeV2Ipv4(host, from, tlvs)]) {
        const parsed = parseProxyHeader(Buffer.concat([header, HELLO]))
        assert.ok(parsed !== 'incomplete' && parsed.ok)
        assert.deepEqual([parsed.source, parsed.headerBytes], [source, header.length])
      }
    }),
  )
})

test('garbage gets one of the known answers, behind a sound beginning too', () => {
  const beginning = fc.constantFrom(
    '',
    'PROXY ',
    'PROXY TCP4 ',
    '\r\n\r\n\0\r\nQUIT\n',
    '\r\n\r\n\0\r\nQUIT\n\x21\x11',
  )
  fc.assert(
    fc.property(beginning, bytes(0, 400), (text, rest) => {
      const parsed = parseProxyHeader(Buffer.concat([Buffer.from(text, 'latin1'), rest]))
      if (parsed === 'incomplete') return
      if (parsed.ok) assert.ok(parsed.headerBytes <= text.length + rest.length)
      else assert.ok(parsed.code === 'absent' || parsed.code === 'malformed')
    }),
    { numRuns: 2000 },
  )
})

test('the header for the site, to the byte', () => {
  const signature = '0d0a0d0a000d0a515549540a'
  const front = { host: '198.51.100.1', port: 443 }
  assert.equal(
    buildProxyHeader(CLIENT, front).toString('hex'),
    `${signature}2111000ccb007107c6336401c82201bb`,
  )
  assert.equal(
    buildProxyHeader({ host: '2001:db8::7', port: 1 }, { host: '2001:db8::1', port: 2 }).toString('hex'),
    `${signature}2121002420010db800000000000000000000000720010db800000000000000000000000100010002`,
  )
})

/** wire.md §13 C1: the reference ends with a crash here. */
test('a client and a site of two families are both sent as IPv6, the IPv4 one mapped', () => {
  const mapped = '00000000000000000000ffff'
  const [ipv4, ipv6] = ['cb007107', '20010db8000000000000000000000001']
  const site = { host: '2001:db8::1', port: 443 }
  const tail = (header: Buffer): string => header.toString('hex', 12)
  assert.equal(tail(buildProxyHeader(CLIENT, site)), `21210024${mapped}${ipv4}${ipv6}c82201bb`)
  assert.equal(tail(buildProxyHeader(site, CLIENT)), `21210024${ipv6}${mapped}${ipv4}01bbc822`)
})

test('a zone of the client’s address is left out', () => {
  const header = buildProxyHeader({ host: 'fe80::1%eth0', port: 1 }, { host: '::1', port: 2 })
  const bare = buildProxyHeader({ host: 'fe80::1', port: 1 }, { host: '::1', port: 2 })
  assert.deepEqual(header, bare)
})

test('what is built is read back, for any pair of addresses', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(address, port(), address, port(), (from, fromPort, to, toPort) => {
      const header = buildProxyHeader({ host: from, port: fromPort }, { host: to, port: toPort })
      const parsed = parseProxyHeader(header)
      assert.ok(parsed !== 'incomplete' && parsed.ok)
      const again = buildProxyHeader(parsed.source ?? assert.fail('nobody'), { host: to, port: toPort })
      assert.deepEqual(again, header) // the same bytes, however the address was spelt
    }),
  )
})
