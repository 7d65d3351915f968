import assert from 'node:assert/strict'
import { test } from 'node:test'

import { decodeHost, decodeHostPort, decodeHostPorts, decodeIpv4, decodeIpv6 } from '#primary/config/address'
import { parseByteSize } from '#primary/config/byte-size'
import {
  decodeAutoOrInteger,
  decodeBoolean,
  decodeCount,
  type Decoder,
  decodeHttpPath,
  decodeMetricPrefix,
  decodePort,
  decodePreferIp,
} from '#primary/config/decoders'
import { decodeDurationMs, parseDurationMs } from '#primary/config/duration'
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
    decodeCount(1),
    [
      [1n, 1],
      [1_000_000n, 1_000_000],
    ],
    [0n, -1n, 1_000_001n, 8192.0, '8192', 2n ** 70n, true],
  )
  check(decodeCount(0), [[0n, 0]], [-1n])
})

test('ports go from 1 to 65535', () => {
  check(
    decodePort,
    [
      [1n, 1],
      [65_535n, 65_535],
    ],
    [0n, 65_536n, -1n, '443', 443.5],
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
    decodeDurationMs(0),
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
      ['576h', 2_073_600_000],
    ],
    ['5', '', 's', '-5s', '1d', '5 sec', 5n, 5.5, '1s2', '1..5s', '25d', '600h', '1e3s', true],
  )
  check(decodeDurationMs(1), [['1ns', 1]], ['0', '0s'])
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

test('a small replay set is raised, a huge one refused', () => {
  const { decode } = SCHEMA['defense.anti-replay.max-size']
  const raised = decode('1mib')
  assert.ok(raised.ok)
  assert.equal(raised.value, 2 ** 24)
  assert.match(raised.notice ?? '', /^raised to 16mib/)
  assert.deepEqual(decode('32mib'), { ok: true, value: 2 ** 25 })
  assert.ok(!decode('1eb').ok)
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
      '[127.0.0.1]:443',
      'example.com:443',
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

test('public addresses belong to their family', () => {
  check(decodeIpv4, [['203.0.113.1', '203.0.113.1']], ['2001:db8::1', '203.0.113', '', 1n, '203.0.113.1:443'])
  check(decodeIpv6, [['2001:DB8:0::1', '2001:db8::1']], ['203.0.113.1', '[2001:db8::1]', 'fe80::1%eth0', ''])
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
    ['example.com:443', 'https://example.com', 'a b', '', 'a/b', 'a?b', '999.1.1.1', 1n],
  )
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
    ['/a b', '/a?b', '/a#b', 1n, '/ä', 'a'.repeat(2000)],
  )
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
})

test('workers are a number or "auto"', () => {
  check(
    decodeAutoOrInteger(256),
    [
      ['auto', 'auto'],
      [1n, 1],
      [256n, 256],
    ],
    [0n, 257n, 'many', '4', true],
  )
})
