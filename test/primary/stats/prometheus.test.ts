import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { listCountedFamilies } from '#primary/stats/families'
import { startPrometheus } from '#primary/stats/prometheus'
import { listUpstreamFamilies } from '#primary/stats/upstream-families'
import type { DcAddress } from '#shared/dc'
import type { UpstreamSnapshot } from '#shared/dial/upstream-state'
import { OperatorError } from '#shared/errors'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import {
  createHistogramMemory,
  histogram,
  HistogramRow,
  HistogramSums,
  listHistogramSeries,
  type HistogramMemory,
} from '#shared/state/histogram'
import { dcSlot, METRICS, slot } from '#shared/state/layout'

import { ask } from './http.ts'

interface Fixture {
  rows: CounterRow[]
  sums: CounterSums
  histograms: HistogramMemory
  /** Answer to the scrape of a path. */
  scrape: (path?: string, method?: string) => ReturnType<typeof ask>
  /** The lines of one family, without comments. */
  family: (name: string) => Promise<string[]>
}

const DC_ADDRESSES: DcAddress[] = [
  { ip: '149.154.167.51', dc: 2 },
  { ip: '2001:67c:4e8:f002::a', dc: 2 },
  { ip: '91.105.192.100', dc: -203 },
]

async function start(
  t: TestContext,
  httpPath = '/metrics',
  dcAddresses = DC_ADDRESSES,
  upstreams: readonly UpstreamSnapshot[] = [],
): Promise<Fixture> {
  const memory = createCountersMemory(2)
  const sums = new CounterSums(memory)
  const histograms = createHistogramMemory(2)
  const server = await startPrometheus({
    config: { enabled: true, bindTo: { host: '127.0.0.1', port: 0 }, httpPath, metricPrefix: 'mtg' },
    families: [...listCountedFamilies(sums, () => dcAddresses), ...listUpstreamFamilies(() => upstreams)],
    histograms: new HistogramSums(histograms),
    version: '1.2.3',
  })
  t.after(() => server.close())
  const scrape = (path = httpPath, method = 'GET') => ask(server.address, path, method)
  return {
    rows: [0, 1].map((row) => new CounterRow(memory, row)),
    sums,
    histograms,
    scrape,
    family: async (name) => {
      const { body } = await scrape()
      return body.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    },
  }
}

function zeroHandOffs(): string[] {
  const [series] = listHistogramSeries('hand_off_seconds')
  return [
    ...[...(series?.buckets ?? []), '+Inf'].map((le) => `mtg_hand_off_seconds_bucket{le="${le}"} 0`),
    'mtg_hand_off_seconds_sum 0',
    'mtg_hand_off_seconds_count 0',
  ]
}

test('before anything happens there are label-less counters at 0, and no series with labels', async (t) => {
  const { scrape } = await start(t)
  const { status, headers, body } = await scrape()
  assert.equal(status, 200)
  assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
  const ours = body.split('\n').filter((line) => line.startsWith('mtg_'))
  assert.deepEqual(ours, [
    'mtg_domain_fronting 0',
    'mtg_concurrency_limited 0',
    'mtg_replay_attacks 0',
    'mtg_replay_set_evictions 0',
    'mtg_hand_offs_failed 0',
    'mtg_accept_errors 0',
    'mtg_dc_dial_failures 0',
    'mtg_state_save_failures 0',
    ...[0, 1].map((worker) => `mtg_worker_event_loop_utilization{worker="${worker}"} 0`),
    ...[0, 1].map((worker) => `mtg_worker_event_loop_delay_seconds{worker="${worker}"} 0`),
    'mtg_dns_cache_hits 0',
    'mtg_domain_fronting_failures 0',
    'mtg_dc_update_failures 0',
    'mtg_clock_steps 0',
    'mtg_unfinished_handshakes 0',
    'mtg_descriptors_exhausted 0',
    // Of the histogram without labels, buckets first.
    ...zeroHandOffs(),
    `mtg_build_info{version="1.2.3",node="${process.versions.node}"} 1`,
  ])
  for (const { name, kind } of METRICS) assert.ok(body.includes(`# TYPE mtg_${name} ${kind}\n`), name)
  assert.ok(body.includes('\nprocess_cpu_seconds_total '))
  assert.ok(body.endsWith('\n') && !body.includes('\n\n\n'))
})

test('numbers of all threads are summed under the names and labels of the table', async (t) => {
  const { rows, family } = await start(t)
  for (const row of rows) {
    row.add(slot('client_connections', { ip_family: 'ipv6' }), 2)
    row.add(slot('handshakes', { outcome: 'ok' }), 5)
    row.add(slot('replay_attacks'), 1)
    row.add(dcSlot('telegram_connections', 2), 1)
    row.add(dcSlot('telegram_traffic', 1, 'to_client'), 3_000_000_000)
    row.add(dcSlot('telegram_traffic', 1, 'from_client'), 7)
    row.publish()
  }
  assert.deepEqual(await family('mtg_client_connections'), ['mtg_client_connections{ip_family="ipv6"} 4'])
  assert.deepEqual(await family('mtg_handshakes'), ['mtg_handshakes{outcome="ok"} 10'])
  assert.deepEqual(await family('mtg_replay_attacks'), ['mtg_replay_attacks 2'])
  assert.deepEqual(await family('mtg_telegram_connections'), [
    'mtg_telegram_connections{telegram_ip="91.105.192.100",dc="203"} 2',
  ])
  assert.deepEqual(await family('mtg_telegram_traffic'), [
    'mtg_telegram_traffic{telegram_ip="2001:67c:4e8:f002::a",dc="2",direction="to_client"} 6000000000',
    'mtg_telegram_traffic{telegram_ip="2001:67c:4e8:f002::a",dc="2",direction="from_client"} 14',
  ])
})

test('a histogram has cumulated buckets, a sum in seconds and a count, summed over all threads', async (t) => {
  const { histograms, scrape } = await start(t)
  const series = histogram('dc_dial_seconds', { outcome: 'ok' })
  for (const row of [0, 1, 2]) {
    new HistogramRow(histograms, row).observe(series, 0.02)
    new HistogramRow(histograms, row).observe(series, 60)
  }
  const { body } = await scrape()
  const lines = body.split('\n').filter((line) => line.includes('mtg_dc_dial_seconds'))
  const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, '+Inf']
  const counts = [0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 6]
  assert.deepEqual(lines.slice(1), [
    '# TYPE mtg_dc_dial_seconds histogram',
    ...bounds.map((le, at) => `mtg_dc_dial_seconds_bucket{outcome="ok",le="${le}"} ${counts[at]}`),
    'mtg_dc_dial_seconds_sum{outcome="ok"} 180.06',
    'mtg_dc_dial_seconds_count{outcome="ok"} 6',
  ])
})

test('ways to Telegram are shown with their breakers, all of them from the start', async (t) => {
  const { family } = await start(t, '/metrics', DC_ADDRESSES, [
    { upstream: '10.0.0.1:1080', state: 'open', failures: 5, retryInMs: 10, dials: 12, failedDials: 7 },
    { upstream: 'direct', state: 'closed', failures: 0, retryInMs: 0, dials: 0, failedDials: 0 },
  ])
  for (const [name, first, second] of [
    ['state', 2, 0],
    ['dials', 12, 0],
    ['failures', 7, 0],
  ] as const) {
    assert.deepEqual(await family(`mtg_upstream_${name}`), [
      `mtg_upstream_${name}{upstream="10.0.0.1:1080"} ${first}`,
      `mtg_upstream_${name}{upstream="direct"} ${second}`,
    ])
  }
})

test('a gauge that was seen stays, at 0 when everybody has left; counters only rise, over the death of a thread', async (t) => {
  const { rows, sums, family } = await start(t)
  const clients = slot('client_connections', { ip_family: 'ipv4' })
  rows[0]?.add(clients, 3)
  rows[0]?.add(slot('domain_fronting'), 4)
  rows[0]?.publish()
  assert.deepEqual(await family('mtg_client_connections'), ['mtg_client_connections{ip_family="ipv4"} 3'])
  sums.retire(0)
  assert.deepEqual(await family('mtg_client_connections'), ['mtg_client_connections{ip_family="ipv4"} 0'])
  assert.deepEqual(await family('mtg_domain_fronting'), ['mtg_domain_fronting 4'])
  assert.deepEqual(await family('mtg_domain_fronting'), ['mtg_domain_fronting 4'])
})

test('only the configured path is served, and with / every URL is', async (t) => {
  const { scrape } = await start(t)
  assert.equal((await scrape('/metrics?x=/')).status, 200)
  assert.equal((await scrape('/metrics', 'HEAD')).status, 200)
  assert.equal((await scrape('/metrics', 'POST')).status, 405)
  for (const path of ['/', '/metrics/', '/metrics/x', '/Metrics', '/stats'])
    assert.equal((await scrape(path)).status, 404)
  const everywhere = await start(t, '/')
  for (const path of ['/', '/metrics', '/a/b/c?d']) assert.equal((await everywhere.scrape(path)).status, 200)
  const odd = await start(t, '/a:b*c')
  assert.equal((await odd.scrape('/a:b*c')).status, 200)
  assert.equal((await odd.scrape('/a:b*cd')).status, 404)
})

test('more addresses than can be counted apart do no harm', async (t) => {
  const many = Array.from({ length: 300 }, (_, at) => ({ ip: `10.0.${at >> 8}.${at & 255}`, dc: 1 }))
  const { rows, family } = await start(t, '/metrics', many)
  rows[0]?.add(dcSlot('telegram_connections', 255), 1)
  rows[0]?.publish()
  assert.deepEqual(await family('mtg_telegram_connections'), [
    'mtg_telegram_connections{telegram_ip="10.0.0.255",dc="1"} 1',
  ])
})

test('a taken port is an error that names the address', async (t) => {
  const { histograms } = await start(t)
  const start2 = (port: number) =>
    startPrometheus({
      config: { enabled: true, bindTo: { host: '127.0.0.1', port }, httpPath: '/', metricPrefix: 'a' },
      families: [],
      histograms: new HistogramSums(histograms),
      version: '1',
    })
  const first = await start2(0)
  t.after(() => first.close())
  await assert.rejects(
    start2(first.address.port),
    (error) =>
      error instanceof OperatorError &&
      error.message ===
        `cannot start Prometheus exporter on 127.0.0.1:${first.address.port}: address already in use`,
  )
})
