import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { QUOTA_PERIODS } from '#shared/config'
import type { QuotaUse } from '#primary/quota/quota-use'
import {
  addTotals,
  formatTotals,
  NOTHING,
  parseTotals,
  type Totals,
  mergeTotals,
  subtractTotals,
} from '#primary/state-file/totals'

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const totals: fc.Arbitrary<Totals> = fc.record(
  {
    bytesIn: count,
    bytesOut: count,
    lastSeenMs: fc.option(fc.integer({ min: 1, max: 4_102_444_800_000 })),
    quota: fc.record(
      {
        period: fc.constantFrom(...QUOTA_PERIODS),
        startMs: fc.integer({ min: 0, max: 4_102_444_800_000 }),
        usedBytes: count,
      },
      { noNullPrototype: true },
    ),
  },
  { noNullPrototype: true, requiredKeys: ['bytesIn', 'bytesOut', 'lastSeenMs'] },
)
const users = fc
  .array(fc.tuple(fc.oneof(fc.string(), fc.constantFrom('__proto__', '7', 'constructor')), totals))
  .map((entries) => new Map(entries))

test('what is written is read as it was, whatever the users are called', () => {
  fc.assert(
    fc.property(users, (map) => {
      const read = parseTotals(formatTotals(map))
      assert.deepEqual([...(read ?? [])], [...map])
    }),
  )
})

test('the file is JSON with a line for each user', () => {
  const text = formatTotals(
    new Map([
      ['anna', { bytesIn: 10, bytesOut: 20, lastSeenMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) }],
      ['boris', NOTHING],
    ]),
  )
  assert.deepEqual(text.split('\n'), [
    '{"version":1,"users":[',
    '{"name":"anna","bytes_in":10,"bytes_out":20,"last_seen":"2026-01-02T03:04:05.678Z"},',
    '{"name":"boris","bytes_in":0,"bytes_out":0,"last_seen":null}',
    ']}',
    '',
  ])
  assert.deepEqual(parseTotals('{"version":1,"users":[\n\n]}\n'), new Map())
})

const good = '{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null}'
for (const text of [
  '',
  'null',
  '[]',
  '{"version":2,"users":[]}',
  '{"version":1}',
  '{"version":1,"users":{}}',
  `{"version":1,"users":[${good}`,
  `{"version":1,"users":[${good},${good}]}`,
  '{"version":1,"users":[{"name":"a","bytes_in":-1,"bytes_out":2,"last_seen":null}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1.5,"bytes_out":2,"last_seen":null}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":1e300,"last_seen":null}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":"soon"}]}',
  '{"version":1,"users":[{"name":7,"bytes_in":1,"bytes_out":2,"last_seen":null}]}',
  '{"version":1,"users":[null]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":null}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":{"period":"year","start":"2026-01-01T00:00:00.000Z","used":1}}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":{"period":"day","start":"soon","used":1}}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":{"period":"day","start":"+275760-09-13T00:00:00.000Z","used":1}}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":{"period":"week","start":"+275760-09-13T00:00:00.000Z","used":1}}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":{"period":"month","start":"+275760-09-13T00:00:00.000Z","used":1}}]}',
  '{"version":1,"users":[{"name":"a","bytes_in":1,"bytes_out":2,"last_seen":null,"quota":{"period":"day","start":"2026-01-01T00:00:00.000Z","used":-1}}]}',
]) {
  test(`not understood: ${text}`, () => {
    assert.equal(parseTotals(text), null)
  })
}

test('a quota stands with its user, and one of a version without quotas is read', () => {
  const quota = { period: 'week' as const, startMs: Date.UTC(2026, 10, 23), usedBytes: 30 }
  const text = formatTotals(new Map([['anna', { ...NOTHING, quota }]]))
  assert.match(text, /,"quota":\{"period":"week","start":"2026-11-23T00:00:00.000Z","used":30\}\}$/m)
  assert.deepEqual(parseTotals(text)?.get('anna')?.quota, quota)
  assert.deepEqual(
    [...parseTotals(`{"version":1,"users":[${good}]}`)!.values()],
    [{ bytesIn: 1, bytesOut: 2, lastSeenMs: null }],
  )
})

test('a file that is cut anywhere is never half understood', () => {
  const text = formatTotals(new Map([['anna', { bytesIn: 10, bytesOut: 20, lastSeenMs: 1 }]]))
  for (let length = 0; length < text.trimEnd().length; length++)
    assert.equal(parseTotals(text.slice(0, length)), null)
})

test('totals are added, and the later time counts', () => {
  const a = { bytesIn: 1, bytesOut: 2, lastSeenMs: 5 }
  assert.deepEqual(addTotals(a, NOTHING), a)
  assert.deepEqual(addTotals(a, { bytesIn: 10, bytesOut: 20, lastSeenMs: 3 }), {
    bytesIn: 11,
    bytesOut: 22,
    lastSeenMs: 5,
  })
  assert.deepEqual(addTotals(NOTHING, NOTHING), NOTHING)
})

test('what is added up stays a count that can be read again', () => {
  const most = { bytesIn: Number.MAX_SAFE_INTEGER, bytesOut: Number.MAX_SAFE_INTEGER - 1, lastSeenMs: null }
  const sum = addTotals(most, { bytesIn: 5, bytesOut: 5, lastSeenMs: 7 })
  const users = new Map([['anna', sum]])
  assert.deepEqual(parseTotals(formatTotals(users)), users)
})

test('what a process that drains leaves of a quota is what has come since, in the period that it came in', () => {
  const november = { period: 'month' as const, startMs: Date.UTC(2026, 10), usedBytes: 30 }
  const december = { period: 'month' as const, startMs: Date.UTC(2026, 11), usedBytes: 5 }
  const withUse = (quota: QuotaUse): Map<string, Totals> =>
    new Map([['anna', { ...NOTHING, bytesIn: 1, quota }]])
  const news = (now: QuotaUse): QuotaUse | undefined =>
    subtractTotals(withUse(now), withUse(november)).get('anna')?.quota
  assert.deepEqual(news({ ...november, usedBytes: 42 }), { ...november, usedBytes: 12 })
  assert.deepEqual(news(december), december)
  assert.equal(news(november), undefined)
  const merged = (one: QuotaUse, other: QuotaUse): QuotaUse | undefined =>
    mergeTotals(withUse(one), withUse(other)).get('anna')?.quota
  assert.deepEqual(merged(november, { ...november, usedBytes: 12 }), { ...november, usedBytes: 42 })
  assert.deepEqual(merged(december, november), december, 'what is over counts no more')
})

test('bytes that were taken back after the look are no news, and no negative ones', () => {
  const before = new Map([['anna', { bytesIn: 5, bytesOut: 700, lastSeenMs: 1 }]])
  const now = new Map([['anna', { bytesIn: 9, bytesOut: 300, lastSeenMs: 2 }]])
  const news = subtractTotals(now, before)
  assert.deepEqual(news, new Map([['anna', { bytesIn: 4, bytesOut: 0, lastSeenMs: 2 }]]))
  assert.deepEqual(parseTotals(formatTotals(news)), news)
})
