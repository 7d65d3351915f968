import assert from 'node:assert/strict'
import { test } from 'node:test'

import { array, assert as check, property, string } from 'fast-check'

import { buildLineFrame, escapeTagValue, formatValue, packLines } from '#primary/stats/statsd-line'

import { parseStatsdLine, type TagFormat } from '../../support/statsd-server.ts'

const FORMATS = ['datadog', 'influxdb', 'graphite'] as const
const SERIES = { prefix: 'mtg', name: 'telegram_traffic', kind: 'counter' } as const

function line(format: TagFormat, labels: Record<string, string>, value = 30): string {
  const { before, after } = buildLineFrame(format, { ...SERIES, labels })
  return `${before}${formatValue(value)}${after}`
}

test('tags are written where each format has them, in the order of the reference', () => {
  const labels = { telegram_ip: '10.1.0.10', dc: '2', direction: 'to_client' }
  assert.deepEqual(
    FORMATS.map((format) => line(format, labels)),
    [
      'mtg.telegram_traffic:30|c|#telegram_ip:10.1.0.10,dc:2,direction:to_client',
      'mtg.telegram_traffic,telegram_ip=10.1.0.10,dc=2,direction=to_client:30|c',
      'mtg.telegram_traffic;telegram_ip=10.1.0.10;dc=2;direction=to_client:30|c',
    ],
  )
  for (const format of FORMATS) assert.equal(line(format, {}), 'mtg.telegram_traffic:30|c')
})

test('an IPv6 address stays an address in datadog, and is one word in the others', () => {
  const labels = { telegram_ip: '2001:67c:4e8:f002::a', dc: '2' }
  assert.deepEqual(
    FORMATS.map((format) => line(format, labels)),
    [
      'mtg.telegram_traffic:30|c|#telegram_ip:2001:67c:4e8:f002::a,dc:2',
      'mtg.telegram_traffic,telegram_ip=2001-67c-4e8-f002--a,dc=2:30|c',
      'mtg.telegram_traffic;telegram_ip=2001-67c-4e8-f002--a;dc=2:30|c',
    ],
  )
})

test('hostile names of users are one value of one tag', () => {
  const cases: [string, string, string, string][] = [
    ['a b', 'a%20b', 'a%20b', 'a%20b'],
    ['a,b=c;d|c#e', 'a%2Cb%3Dc%3Bd%7Cc%23e', 'a%2Cb%3Dc%3Bd%7Cc%23e', 'a%2Cb%3Dc%3Bd%7Cc%23e'],
    ['x:1|c\nmtg.y:2', 'x:1%7Cc%0Amtg.y:2', 'x%3A1%7Cc%0Amtg.y%3A2', 'x%3A1%7Cc%0Amtg.y%3A2'],
    ['Олег', 'Олег', 'Олег', '%D0%9E%D0%BB%D0%B5%D0%B3'],
    ['~tilde\\', '%7Etilde%5C', '%7Etilde%5C', '%7Etilde%5C'],
    ['100%', '100%25', '100%25', '100%25'],
    ['😀\u2028', '%F0%9F%98%80%E2%80%A8', '%F0%9F%98%80%E2%80%A8', '%F0%9F%98%80%E2%80%A8'],
    ['', '%', '%', '%'],
  ]
  for (const [name, ...escaped] of cases) {
    assert.deepEqual(
      FORMATS.map((format) => escapeTagValue(format, name)),
      escaped,
      JSON.stringify(name),
    )
  }
})

const anyText = string({ unit: 'binary', maxLength: 64 })

test('any text at all is read back as one tag, and no two become the same', () => {
  for (const format of FORMATS) {
    check(
      property(anyText, (user) => {
        const parsed = parseStatsdLine(format, line(format, { user, direction: 'to_client' }, 7))
        assert.deepEqual(Object.keys(parsed.tags), ['user', 'direction'])
        assert.equal(parsed.tags['user'], escapeTagValue(format, user))
        assert.deepEqual([parsed.name, parsed.value, parsed.type], ['mtg.telegram_traffic', 7, 'c'])
        const { user: escaped = '' } = parsed.tags
        assert.equal(escaped === '%' ? '' : decodeURIComponent(escaped), user)
      }),
    )
  }
})

test('numbers are written without exponents', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [1e-7, '0'],
    [0.000001, '0.000001'],
    [0.1 + 0.2, '0.3'],
    [2 ** 53 - 1, '9007199254740991'],
  ]
  for (const [value, text] of cases) assert.equal(formatValue(value), text)
})

test('datagrams are as few as can be, none is too long, and no line is lost or cut', () => {
  check(
    property(array(string({ minLength: 1, maxLength: 40, unit: 'grapheme' })), (texts) => {
      const lines = texts.map((text) => text.replaceAll('\n', ' '))
      const { datagrams, dropped } = packLines(lines, 100)
      const fitting = lines.filter((text) => Buffer.byteLength(text) <= 100)
      assert.deepEqual(datagrams.length === 0 ? [] : datagrams.join('\n').split('\n'), fitting)
      assert.equal(dropped, lines.length - fitting.length)
      for (const [at, datagram] of datagrams.entries()) {
        assert.ok(Buffer.byteLength(datagram) <= 100)
        const next = datagrams[at + 1]?.split('\n')[0]
        if (next !== undefined) assert.ok(Buffer.byteLength(`${datagram}\n${next}`) > 100)
      }
    }),
  )
})
