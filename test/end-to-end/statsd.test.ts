import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls } from '../support/faketls-client.ts'
import { startStatsdServer } from '../support/statsd-server.ts'
import { buildRequest, readPattern } from './transfer.ts'
import { readMetric, startWorld, waitMetric } from './world.ts'

const DOWN = 1_234_567
const UP = 8
const CLIENTS = 4

for (const tagFormat of ['datadog', 'influxdb', 'graphite'] as const) {
  test(`StatsD, /stats and Prometheus tell the same, ${tagFormat}`, { timeout: 60_000 }, async (t) => {
    const server = await startStatsdServer(t)
    const statsd = {
      enabled: true,
      address: { host: 'localhost', port: server.port },
      metricPrefix: 'proxy1',
      tagFormat,
    }
    const { proxy, secret } = await startWorld(t, {
      dcMode: 'source',
      workers: 2,
      config: { stats: { statsd } },
    })
    const value = (series: string): number => server.values(tagFormat).get(`proxy1.${series}`) ?? 0
    const dc = 'telegram_ip=127.0.0.1,dc=2'

    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => connectFakeTls({ port: proxy.port, secret, dc: 2 })),
    )
    await server.waitUntil(
      () =>
        value(`telegram_connections{${dc}}`) === CLIENTS &&
        value('client_connections{ip_family=ipv4}') === CLIENTS,
    )
    for (const client of clients) {
      client.write(buildRequest(DOWN))
      await readPattern(client, DOWN)
    }
    const [staying, ...leaving] = clients
    for (const client of leaving) client.end()
    await Promise.all(leaving.map((client) => client.ended))

    const { users } = await proxy.statsWhen(({ total_connections }) => total_connections === 1)
    const { bytes_in, bytes_out } = users['alice']!
    assert.deepEqual([bytes_in, bytes_out], [CLIENTS * UP, CLIENTS * DOWN])
    await server.waitUntil(
      () =>
        value(`telegram_traffic{${dc},direction=to_client}`) === bytes_out &&
        value(`telegram_traffic{${dc},direction=from_client}`) === bytes_in &&
        value('user_bytes{user=alice,direction=to_client}') === bytes_out &&
        value('user_bytes{user=alice,direction=from_client}') === bytes_in &&
        value('user_connections{user=alice}') === 1 &&
        value('handshakes{outcome=ok}') === CLIENTS &&
        value(`telegram_connections{${dc}}`) === 1,
    )
    await waitMetric(proxy, 'mtg_telegram_traffic', { direction: 'to_client' }, bytes_out)

    // What happens just before the end is told, too.
    staying!.destroy()
    const late = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    late.write(buildRequest(DOWN))
    await readPattern(late, DOWN)
    late.end()
    await late.ended
    await proxy.running.stop()
    // In as many datagrams as it takes, which come one by one.
    const last = {
      [`telegram_traffic{${dc},direction=to_client}`]: bytes_out + DOWN,
      'user_bytes{user=alice,direction=to_client}': bytes_out + DOWN,
      'client_connections{ip_family=ipv4}': 0,
      [`telegram_connections{${dc}}`]: 0,
    }
    await server.waitUntil(() =>
      Object.entries(last).every(([series, expected]) => value(series) === expected),
    )
    assert.ok(proxy.logLines().some(({ message }) => message === 'StatsD exporter started'))
  })
}

test('a proxy whose StatsD server does not exist serves as ever', { timeout: 60_000 }, async (t) => {
  const address = { host: 'statsd.invalid', port: 8125 }
  const statsd = { enabled: true, address, metricPrefix: 'mtg', tagFormat: 'datadog' } as const
  const { proxy, secret } = await startWorld(t, { dcMode: 'source', config: { stats: { statsd } } })
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  client.write(buildRequest(DOWN))
  await readPattern(client, DOWN)
  client.destroy()
  assert.equal(readMetric(await proxy.metrics(), 'mtg_worker_restarts'), 0)
  await proxy.running.stop()
})
