import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  decodeHost,
  decodeHostPort,
  decodeHostPorts,
  decodeHttpAddress,
  decodeNamedHostPort,
  decodeNetworks,
  decodePublicIpv4,
  decodePublicIpv6,
} from '#primary/config/address'
import { formatByteSize, parseByteSize } from '#primary/config/byte-size'
import {
  decodeAutoOrInteger,
  decodeBoolean,
  type Decoder,
  decodeErrorRate,
  decodeHttpPath,
  decodeHttpPathPrefix,
  decodeMetricPrefix,
  decodePreferIp,
  decodePrometheusPrefix,
} from '#primary/config/decoders'
import { decodeDurationMs, formatDuration, parseDurationMs } from '#primary/config/duration'
import { COUNT, PORT } from '#primary/config/formats'
import { SCHEMA } from '#primary/config/schema'
import * as fc from 'fast-check'

/** Values as the parser gives them: integers are bigint. */
function check<T>(
  decode: Decoder<T>,
  accepted: readonly (readonly [unknown, T])[],
  refused: readonly unknown[],
): void {
  for (const [found, value] of accepted) assert.deepEqual(decode(found), { ok: true, value }, String(found))
  for (const found of refused) {
    const decoded = decode(found)
    assert.ok(!decoded.ok, `${String(found)} was accepted`)
    assert.match(decoded.expected, /^expected /)
  }
}

test('booleans are TOML booleans, not texts or numbers', () => {
  check(
    decodeBoolean,
    [
      [true, true],
      [false, false],
    ],
    ['true', 1n, 0n, '', []],
  )
})

test('counts are whole numbers up to a million', () => {
  check(
    COUNT.decode,
    [
      [0n, 0],
      [1n, 1],
      [1_000_000n, 1_000_000],
    ],
    [-1n, 1_000_001n, 8192.0, '8192', 2n ** 70n, true],
  )
})

test('ports go up to 65535, and 0 is none', () => {
  check(
    PORT.decode,
    [
      [0n, 0],
      [65_535n, 65_535],
    ],
    [65_536n, -1n, '443', 443.5],
  )
})

test('address preferences are known in any letter case', () => {
  check(
    decodePreferIp,
    [
      ['prefer-ipv4', 'prefer-ipv4'],
      ['Only-IPv6', 'only-ipv6'],
    ],
    ['ipv4', '', 4n],
  )
})

test('durations are read as Go reads them', () => {
  check(
    decodeDurationMs,
    [
      ['5s', 5000],
      ['1h30m', 5_400_000],
      ['1 H', 3_600_000],
      ['1.5s', 1500],
      ['.5s', 500],
      ['0', 0],
      ['0s', 0],
      ['100ms', 100],
      ['0.1s', 100],
      ['1us', 1],
      ['500µs', 1],
      ['1ns', 1],
      ['+5s', 5000],
      ['576h', 2_073_600_000],
    ],
    ['5', '', 's', '-5s', '1d', '5 sec', 5n, 5.5, '1s2', '1..5s', '25d', '1e3s', '+', '5s+', true],
  )
})

test('a duration that no timer can wait for is lowered, for the reference starts with it', () => {
  assert.deepEqual(decodeDurationMs('720h'), {
    ok: true,
    value: 596 * 3_600_000,
    notice: 'lowered to 596h, the longest there is',
  })
})

test('a duration is shown as it may be written', () => {
  const shown: readonly (readonly [number, string])[] = [
    [0, '0s'],
    [1, '1ms'],
    [5000, '5s'],
    [90_000, '1m30s'],
    [86_400_000, '24h'],
    [3_600_001, '1h1ms'],
  ]
  for (const [durationMs, text] of shown) assert.equal(formatDuration(durationMs), text)
  fc.assert(
    fc.property(fc.nat(2 ** 31), (durationMs) =>
      assert.equal(parseDurationMs(formatDuration(durationMs)), durationMs),
    ),
  )
})

test('a duration means the sum of its parts, however they are spaced', () => {
  const part = fc.tuple(fc.nat(500), fc.constantFrom(['h', 3_600_000], ['m', 60_000], ['s', 1000], ['ms', 1]))
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 6 }),
      fc.constantFrom('', ' ', '\t'),
      (parts, space) => {
        const text = parts.map(([count, [unit]]) => `${count}${space}${unit}`).join(space)
        const sum = parts.reduce((total, [count, [, ms]]) => total + count * ms, 0)
        assert.equal(parseDurationMs(text), sum)
      },
    ),
  )
})

test('sizes are read with their units', () => {
  const accepted: readonly (readonly [string, number])[] = [
    ['16mib', 2 ** 24],
    ['1MB', 2 ** 20],
    ['1.5 GB', 1.5 * 2 ** 30],
    ['1kb512b', 1536],
    ['0', 0],
    ['10b', 10],
    ['1tb', 2 ** 40],
  ]
  for (const [text, bytes] of accepted) assert.equal(parseByteSize(text), bytes, text)
  for (const text of ['', '1024', '1m', 'mib', '-1mb', '1 mega', '1mb2'])
    assert.equal(parseByteSize(text), undefined, text)
})

test('a size is shown as it may be written', () => {
  for (const text of ['1b', '1000b', '128kib', '16mib', '3gib']) {
    assert.equal(formatByteSize(parseByteSize(text) ?? 0), text)
  }
})

test('a small replay set is raised, a huge one lowered', () => {
  const { decode } = SCHEMA['defense.anti-replay.max-size']
  const raised = decode('1mib')
  assert.ok(raised.ok)
  assert.equal(raised.value, 2 ** 24)
  assert.match(raised.notice ?? '', /^raised to 16mib/)
  assert.deepEqual(decode('32mib'), { ok: true, value: 2 ** 25 })
  assert.deepEqual(decode('1eb'), {
    ok: true,
    value: 2 ** 30,
    notice: 'lowered to 1gib, the largest there is',
  })
  assert.ok(!decode(16n).ok)
})

test('addresses are IP literals or localhost, with a port', () => {
  check(
    decodeHostPort,
    [
      ['0.0.0.0:3128', { host: '0.0.0.0', port: 3128 }],
      ['[::1]:443', { host: '::1', port: 443 }],
      ['[2001:DB8:0:0::1]:1', { host: '2001:db8::1', port: 1 }],
      ['localhost:65535', { host: '127.0.0.1', port: 65_535 }],
      ['127.0.0.1:0443', { host: '127.0.0.1', port: 443 }],
      ['127.0.0.1:00000443', { host: '127.0.0.1', port: 443 }],
      ['[127.0.0.1]:443', { host: '127.0.0.1', port: 443 }],
    ],
    [
      '0.0.0.0',
      '0.0.0.0:0',
      '0.0.0.0:65536',
      ':443',
      '*:443',
      '::1:443',
      '[::1]',
      '[fe80::1%eth0]:443',
      'example.com:443',
      'unix:/run/x.sock',
      '1.2.3:443',
      '01.2.3.4:443',
      '0.0.0.0:-1',
      '0.0.0.0:x',
      443n,
      '',
    ],
  )
})

test('a list of addresses names the one that is wrong, or there twice', () => {
  assert.deepEqual(decodeHostPorts('127.0.0.1:443'), { ok: true, value: [{ host: '127.0.0.1', port: 443 }] })
  const wrong = decodeHostPorts(['127.0.0.1:443', 123n])
  assert.ok(!wrong.ok)
  assert.equal(wrong.found, '123')
  const twice = decodeHostPorts(['[::1]:443', '[0:0::1]:0443'])
  assert.ok(!twice.ok)
  assert.equal(twice.found, '[::1]:443 twice')
  assert.ok(!decodeHostPorts([]).ok)
})

test('a server of ours may have a UNIX socket, by its absolute path', () => {
  check(
    decodeHttpAddress,
    [
      ['127.0.0.1:9090', { host: '127.0.0.1', port: 9090 }],
      ['unix:/run/mtg multi/api.sock', { path: '/run/mtg multi/api.sock' }],
    ],
    ['unix:', 'unix:api.sock', 'unix:~/api.sock', `unix:/${'a'.repeat(103)}`, 'unix:/a\0b', 'localhost', 1n],
  )
})

test('what is dialled may have a host name', () => {
  check(
    decodeNamedHostPort,
    [
      ['statsd:8125', { host: 'statsd', port: 8125 }],
      ['[::1]:8125', { host: '::1', port: 8125 }],
      ['localhost:1', { host: '127.0.0.1', port: 1 }],
    ],
    ['statsd', ':8125', 'a b:1', '1.2.3:1', 'udp://statsd:8125', 'statsd:0'],
  )
})

test('public addresses belong to their family; the other one is ignored with a notice', () => {
  check(
    decodePublicIpv4,
    [
      ['203.0.113.1', '203.0.113.1'],
      ['::ffff:203.0.113.1', '203.0.113.1'],
    ],
    ['203.0.113', 1n, '203.0.113.1:443', 'fe80::1%eth0'],
  )
  check(decodePublicIpv6, [['2001:DB8:0::1', '2001:db8::1']], ['[2001:db8::1]', 'fe80::1%eth0', 'x'])
  assert.deepEqual(decodePublicIpv4('2001:db8::1'), {
    ok: true,
    value: null,
    notice: 'ignored, because it is an IPv6 address: write it to public-ipv6',
  })
  assert.deepEqual(decodePublicIpv6('203.0.113.1'), {
    ok: true,
    value: null,
    notice: 'ignored, because it is an IPv4 address: write it to public-ipv4',
  })
})

test('networks are addresses with or without a length, without their host bits', () => {
  check(
    decodeNetworks,
    [
      ['127.0.0.1', ['127.0.0.1/32']],
      [
        ['10.1.2.3/8', '::1', '2001:DB8::5/32', '0.0.0.0/0'],
        ['10.0.0.0/8', '::1/128', '2001:db8::/32', '0.0.0.0/0'],
      ],
    ],
    [[], '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', 'x', '10.0.0.0/-1', '::1/129', 1n, 'fe80::1%eth0'],
  )
})

test('a fronting host is a DNS name or an IP address, nothing more', () => {
  check(
    decodeHost,
    [
      ['fronting-backend', 'fronting-backend'],
      ['10.0.0.1', '10.0.0.1'],
      ['::1', '::1'],
      ['example.com', 'example.com'],
    ],
    ['example.com:443', 'https://example.com', 'a b', '', 'a/b', 'a?b', '[::1]', 1n],
  )
  for (const odd of ['999.1.1.1', 'a..b', 'exa(mple', 'a'.repeat(300)]) {
    const decoded = decodeHost(odd)
    assert.ok(decoded.ok && decoded.value === odd, odd)
    assert.match(decoded.notice ?? '', /not a name that DNS can have/)
  }
})

test('paths get one slash in front and none behind', () => {
  check(
    decodeHttpPath,
    [
      ['/', '/'],
      ['', '/'],
      ['metrics', '/metrics'],
      ['//a/b//', '/a/b'],
    ],
    [1n, 'a'.repeat(2000), '\ud800'],
  )
  check(
    decodeHttpPathPrefix,
    [
      ['', ''],
      ['/', ''],
      ['mtg/', '/mtg'],
    ],
    [1n],
  )
})

test('a path that cannot be asked for as it stands is percent-encoded, with a notice', () => {
  const encoded: readonly (readonly [string, string])[] = [
    ['/a b', '/a%20b'],
    ['/a?b', '/a%3Fb'],
    ['/a#b', '/a%23b'],
    ['/ä', '/%C3%A4'],
  ]
  for (const [path, value] of encoded)
    assert.deepEqual(decodeHttpPath(path), {
      ok: true,
      value,
      notice: 'percent-encoded, as clients ask for it',
    })
  assert.deepEqual(decodeHttpPath('/a%20b'), { ok: true, value: '/a%20b' })
})

test('metric prefixes are small letters and digits', () => {
  check(
    decodeMetricPrefix,
    [
      ['mtg', 'mtg'],
      ['mtg2', 'mtg2'],
    ],
    ['', 'mtg.', 'mtg_x', 'MTG', 1n],
  )
  check(decodeMetricPrefix, [['1mtg', '1mtg']], [])
  check(decodePrometheusPrefix, [['m1', 'm1']], ['1mtg', '', 'M'])
})

test('an error rate is any number from 0 to 100', () => {
  check(
    decodeErrorRate,
    [
      [0.001, 0.001],
      [5n, 5],
      [99.9, 99.9],
    ],
    [100n, -1n, -0.1, '0.1', Number.NaN, true],
  )
})

test('workers are a number or "auto"', () => {
  check(
    decodeAutoOrInteger(1, 256),
    [
      ['auto', 'auto'],
      [1n, 1],
      [256n, 256],
    ],
    [0n, 257n, 'many', '4', true],
  )
})
