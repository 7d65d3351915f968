import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Sample } from '#primary/stats/families'
import { FLUSHES_PER_REFRESH, StatsdSeries, type StatsdFamily } from '#primary/stats/statsd-series'

/** A family whose numbers the test sets. */
function family(name: string, kind: 'counter' | 'gauge', samples: Sample[]): StatsdFamily {
  return { name, kind, collect: () => samples }
}

function series(...families: StatsdFamily[]): StatsdSeries {
  return new StatsdSeries({ tagFormat: 'datadog', metricPrefix: 'mtg', families })
}

test('a counter is told by how much it rose, and not at all when it did not', () => {
  const samples: Sample[] = [{ labels: {}, value: 5 }]
  const sent = series(family('replay_attacks', 'counter', samples))
  assert.deepEqual(sent.collectLines(), ['mtg.replay_attacks:5|c'])
  assert.deepEqual(sent.collectLines(), [])
  samples[0] = { labels: {}, value: 12 }
  assert.deepEqual(sent.collectLines(), ['mtg.replay_attacks:7|c'])
  samples[0] = { labels: {}, value: 3 } // a user has left the sum of the others
  assert.deepEqual(sent.collectLines(), [])
  samples[0] = { labels: {}, value: 4 }
  assert.deepEqual(sent.collectLines(), ['mtg.replay_attacks:1|c'])
})

test('a gauge is told as it is: when it changes, and now and then', () => {
  const samples: Sample[] = [{ labels: {}, value: 0 }]
  const sent = series(family('throttle_limit', 'gauge', samples))
  assert.deepEqual(sent.collectLines(), ['mtg.throttle_limit:0|g'])
  samples[0] = { labels: {}, value: 4 }
  assert.deepEqual(sent.collectLines(), ['mtg.throttle_limit:4|g'])
  const later = Array.from({ length: FLUSHES_PER_REFRESH * 3 }, () => sent.collectLines()).flat()
  assert.deepEqual(later, Array.from({ length: 3 }).fill('mtg.throttle_limit:4|g'))
  samples[0] = { labels: {}, value: -1 } // with a sign it would be a change
  assert.deepEqual(sent.collectLines(), ['mtg.throttle_limit:0|g'])
})

test('gauges that rest are refreshed in turn, not all at once', () => {
  const samples = Array.from({ length: 1000 }, (_, at) => ({ labels: { user: `u${at}` }, value: 1 }))
  const sent = series(family('user_connections', 'gauge', samples))
  assert.equal(sent.collectLines().length, 1000)
  const counts = Array.from({ length: FLUSHES_PER_REFRESH }, () => sent.collectLines().length)
  assert.deepEqual(
    counts,
    Array.from({ length: FLUSHES_PER_REFRESH }, () => 1000 / FLUSHES_PER_REFRESH),
  )
})

test('a series that is gone ends at 0, and begins anew when it is back', () => {
  const users: Sample[] = [{ labels: { user: 'anna' }, value: 2 }]
  const bytes: Sample[] = [{ labels: { user: 'anna' }, value: 100 }]
  const sent = series(family('user_connections', 'gauge', users), family('user_bytes', 'counter', bytes))
  sent.collectLines()
  users.length = 0
  bytes.length = 0
  assert.deepEqual(sent.collectLines(), ['mtg.user_connections:0|g|#user:anna'])
  assert.deepEqual(sent.collectLines(), [])
  users.push({ labels: { user: 'anna' }, value: 1 })
  bytes.push({ labels: { user: 'anna' }, value: 150 })
  assert.deepEqual(sent.collectLines(), [
    'mtg.user_connections:1|g|#user:anna',
    'mtg.user_bytes:150|c|#user:anna',
  ])
})

test('the last lines tell what counters rose, and gauges at 0', () => {
  const users: Sample[] = [{ labels: { user: 'anna' }, value: 2 }]
  const bytes: Sample[] = [{ labels: {}, value: 100 }]
  const sent = series(family('user_connections', 'gauge', users), family('domain_fronting', 'counter', bytes))
  sent.collectLines()
  bytes[0] = { labels: {}, value: 101 }
  assert.deepEqual(sent.collectLastLines(), [
    'mtg.domain_fronting:1|c',
    'mtg.user_connections:0|g|#user:anna',
  ])
})

test('labels of the same values under other names are series of their own', () => {
  const one = family('a', 'counter', [{ labels: { x: 'b' }, value: 1 }])
  const two = family('a_b', 'counter', [{ labels: {}, value: 2 }])
  assert.deepEqual(series(one, two).collectLines(), ['mtg.a:1|c|#x:b', 'mtg.a_b:2|c'])
})
