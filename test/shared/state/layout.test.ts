import assert from 'node:assert/strict'
import { test } from 'node:test'

import { BugError, HANDSHAKE_CODES } from '#shared/errors'
import {
  dcSlot,
  listDcSeries,
  listGaugeSlots,
  listSeries,
  MAX_DC_ADDRESSES,
  METRICS,
  slot,
  SLOT_COUNT,
} from '#shared/state/layout'

test('every series has a slot of its own, and no slot is without a series', () => {
  const slots = METRICS.flatMap((metric) =>
    metric.perDcAddress
      ? Array.from({ length: MAX_DC_ADDRESSES }, (_, at) => listDcSeries(metric.name, at)).flat()
      : listSeries(metric.name),
  ).map((series) => series.slot)
  assert.equal(slots.length, SLOT_COUNT)
  assert.deepEqual(
    slots.toSorted((a, b) => a - b),
    Array.from({ length: SLOT_COUNT }, (_, at) => at),
  )
})

test('a series is found by its labels in any order, and the lists agree with the look-up', () => {
  for (const metric of METRICS) {
    for (const series of listSeries(metric.name)) assert.equal(slot(metric.name, series.labels), series.slot)
  }
  assert.notEqual(
    slot('client_connections', { ip_family: 'ipv4' }),
    slot('client_connections', { ip_family: 'ipv6' }),
  )
  for (const code of ['ok', ...HANDSHAKE_CODES])
    assert.equal(typeof slot('handshakes', { outcome: code }), 'number')
})

test('both directions of every data-centre address are counted apart', () => {
  const slots = [0, 1, MAX_DC_ADDRESSES - 1].flatMap((at) => [
    dcSlot('telegram_connections', at),
    dcSlot('telegram_traffic', at, 'to_client'),
    dcSlot('telegram_traffic', at, 'from_client'),
  ])
  assert.equal(new Set(slots).size, slots.length)
  assert.ok(slots.every((at) => at >= 0 && at < SLOT_COUNT))
})

test('a series that is not in the table is a bug', () => {
  const refused = [
    () => slot('client_connections'),
    () => slot('client_connections', { ip_family: 'ipx' }),
    () => slot('domain_fronting', { direction: 'to_client' }),
    () => slot('telegram_traffic', { direction: 'to_client' }),
    () => dcSlot('telegram_traffic', 0),
    () => dcSlot('telegram_connections', 0, 'to_client'),
    () => dcSlot('telegram_connections', MAX_DC_ADDRESSES),
    () => dcSlot('telegram_connections', -1),
    () => dcSlot('telegram_connections', Number.NaN),
  ]
  for (const look of refused) assert.throws(look, BugError)
})

test("the reference's families keep their names, kinds and labels", () => {
  const families = METRICS.slice(0, 8).map(({ name, kind, labels, perDcAddress }) =>
    [kind, name, ...(perDcAddress ? ['telegram_ip', 'dc'] : []), ...Object.keys(labels)].join(' '),
  )
  assert.deepEqual(families, [
    'gauge client_connections ip_family',
    'gauge telegram_connections telegram_ip dc',
    'gauge domain_fronting_connections ip_family',
    'counter telegram_traffic telegram_ip dc direction',
    'counter domain_fronting_traffic direction',
    'counter domain_fronting',
    'counter concurrency_limited',
    'counter replay_attacks',
  ])
})

test('connections in being are gauges, everything that only rises is not', () => {
  const gauges = listGaugeSlots()
  assert.equal(gauges[slot('client_connections', { ip_family: 'ipv6' })], 1)
  assert.equal(gauges[dcSlot('telegram_connections', MAX_DC_ADDRESSES - 1)], 1)
  assert.equal(gauges[dcSlot('telegram_traffic', 0, 'to_client')], 0)
  assert.equal(gauges[slot('replay_attacks')], 0)
})
