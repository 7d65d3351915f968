import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'
import { formatStats, type UserStats } from '#primary/stats/stats-json'

const startedAtMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const user = (name: string): UserStats => ({
  name,
  connections: 0,
  bytesIn: 0,
  bytesOut: 0,
  lastSeenMs: null,
})
const names = (text: string): string[] =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)":\{"connections"/g)].map(([, name = '']) => name)

test('the body is the documented one, to the byte', () => {
  const users = [
    { name: 'anna', connections: 3, bytesIn: 10, bytesOut: 20, lastSeenMs: startedAtMs + 35_999 },
    { name: 'carol', connections: 1, bytesIn: 9_007_199_254_740_991, bytesOut: 0, lastSeenMs: null },
  ]
  assert.equal(
    formatStats({ startedAtMs, users, throttle: null }, startedAtMs + 42_999),
    '{"started_at":"2026-01-02T03:04:05Z","uptime_seconds":42,"total_connections":4,"users":{' +
      '"anna":{"connections":3,"bytes_in":10,"bytes_out":20,"last_seen":"2026-01-02T03:04:41Z"},' +
      '"carol":{"connections":1,"bytes_in":9007199254740991,"bytes_out":0,"last_seen":null}}}\n',
  )
})

test('the throttle is shown when there is one, its caps when there are any', () => {
  const body = (caps: { name: string; cap: number }[]): string =>
    formatStats(
      { startedAtMs, users: [], throttle: { active: caps.length > 0, limit: 100, caps } },
      startedAtMs,
    )
  assert.ok(body([]).includes('"throttle":{"active":false,"limit":100},"users":{}}'))
  assert.ok(
    body([
      { name: 'carol', cap: 49 },
      { name: 'bob', cap: 1 },
    ]).includes('"throttle":{"active":true,"limit":100,"caps":{"bob":1,"carol":49}}'),
  )
})

test('a clock that was set back shows no negative uptime', () => {
  assert.ok(
    formatStats({ startedAtMs, users: [], throttle: null }, startedAtMs - 5_000).includes(
      '"uptime_seconds":0,',
    ),
  )
})

test('a time that is far off, as of a clock that was wrong, is a time all the same', () => {
  const users = [{ ...user('anna'), lastSeenMs: Date.UTC(12_026, 0, 2, 3, 4, 5, 678) }]
  const body = formatStats({ startedAtMs, users, throttle: null }, startedAtMs)
  assert.ok(body.includes('"last_seen":"+012026-01-02T03:04:05Z"'), body)
})

test('names that JSON or JavaScript treats specially come out as they are, in the order of their bytes', () => {
  const text = formatStats(
    {
      startedAtMs,
      users: ['\u{1f600}', '\uff5e', 'b', '__proto__', '10', '9', 'a"<&>', 'a\u2028\u2029', 'B', 'é'].map(
        user,
      ),
      throttle: null,
    },
    startedAtMs,
  )
  assert.deepEqual(names(text), [
    '10',
    '9',
    'B',
    '__proto__',
    'a\\"\\u003c\\u0026\\u003e',
    'a\\u2028\\u2029',
    'b',
    'é',
    '\uff5e',
    '\u{1f600}',
  ])
})

test('any names in any order give one line of JSON with every user once, sorted bytewise', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1 })), (given) => {
      const text = formatStats({ startedAtMs, users: given.map(user), throttle: null }, startedAtMs)
      assert.ok(text.endsWith('}\n') && !text.slice(0, -1).includes('\n') && !/[<>&]/.test(text))
      const parsed = JSON.parse(text) as { users: object }
      assert.equal(new Set(Object.keys(parsed.users)).size, given.length)
      assert.deepEqual(
        names(text).map((name) => JSON.parse(`"${name}"`) as string),
        given.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      )
    }),
  )
})
