import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { UpstreamProxy } from '#shared/config'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import type { TestProxy } from '../support/proxy.ts'
import { DIRECT, socks5 } from '../support/routes.ts'
import { startSocksServer, type SocksServer } from '../support/socks-server.ts'
import { startStreamDc, type StreamDc } from '../support/stream-dc.ts'
import { connect } from 'node:net'
import { once } from 'node:events'
import { makeSecret, readMetric, startWorld, waitMetric, waitUntil, type World } from './world.ts'

const timeout = 60_000
const TIMEOUTS = { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 10_000 }
const ACCOUNT = { username: 'anna', password: 'hunter2' }

async function startBehind(
  t: TestContext,
  proxies: readonly UpstreamProxy[],
  options: { tcpMs?: number; workers?: number } = {},
): Promise<World> {
  const { tcpMs = TIMEOUTS.tcpMs, workers = 1 } = options
  return startWorld(t, {
    workers,
    config: {
      network: { proxies, timeout: { ...TIMEOUTS, tcpMs } },
    },
  })
}

async function exchange(proxy: TestProxy, text: string, dc = 2): Promise<void> {
  const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc })
  client.write(Buffer.from(text))
  assert.equal(String(await client.read(text.length)), text)
  client.destroy()
}

async function fails(proxy: TestProxy): Promise<void> {
  const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: 2 })
  await client.ended.catch(() => {})
  client.destroy()
}

interface UpstreamJson {
  readonly upstream: string
  readonly state: string
  readonly failures_in_a_row: number
  readonly retry_in_ms: number
  readonly dials: number
  readonly failed_dials: number
}

async function listUpstreams(proxy: TestProxy): Promise<readonly UpstreamJson[]> {
  const response = await fetch(`http://127.0.0.1:${proxy.running.apiAddress?.port}/v1/upstreams`)
  return ((await response.json()) as { upstreams: UpstreamJson[] }).upstreams
}

const counts = (servers: readonly SocksServer[]): number[] => servers.map(({ targets }) => targets.length)

test('several proxies and the direct way are taken in turn, over all threads', { timeout }, async (t) => {
  const servers = [await startSocksServer(t), await startSocksServer(t, ACCOUNT)] as const
  const proxies = [socks5(servers[0].port), socks5(servers[1].port, ACCOUNT), DIRECT]
  const { proxy, dc } = await startBehind(t, proxies, { workers: 2 })
  for (let round = 0; round < 9; round++) await exchange(proxy, `round ${round}`)
  assert.deepEqual(counts(servers), [3, 3])
  assert.ok(servers.every(({ targets }) => targets.every((target) => target === `127.0.0.1:${dc.port}`)))
  const upstreams = await listUpstreams(proxy)
  assert.deepEqual(
    upstreams.map(({ upstream, dials, state }) => [upstream, dials, state]),
    [
      [`127.0.0.1:${servers[0].port}`, 3, 'closed'],
      [`127.0.0.1:${servers[1].port}`, 3, 'closed'],
      ['direct', 3, 'closed'],
    ],
  )
  const metrics = await proxy.metrics()
  assert.equal(readMetric(metrics, 'mtg_upstream_dials'), 9)
  assert.equal(readMetric(metrics, 'mtg_dc_dial_seconds_count', { outcome: 'ok' }), 9)
  assert.doesNotMatch(`${metrics}${proxy.logText()}${JSON.stringify(upstreams)}`, /anna|hunter2/)
})

test(
  'whatever is wrong with one proxy, the other one stands in; it is left alone and comes back',
  { timeout },
  async (t) => {
    const good = await startSocksServer(t)
    for (const fault of ['close', 'garbage', 'hang'] as const) {
      const bad = await startSocksServer(t, { fault: { at: 'request', how: fault } })
      const limits = { openThreshold: 2, halfOpenTimeoutMs: 500 }
      const { proxy } = await startBehind(t, [socks5(bad.port, limits), socks5(good.port)], { workers: 2 })
      const state = async (): Promise<string | undefined> => (await listUpstreams(proxy))[0]?.state
      await waitUntil(async () => {
        await exchange(proxy, fault)
        return (await state()) === 'open'
      }, `an open breaker by ${fault}`)
      await waitUntil(async () => (await state()) === 'half-open', 'a half-open breaker')
      bad.setFault(null)
      await waitUntil(async () => {
        await exchange(proxy, 'again')
        return (await state()) === 'closed'
      }, 'a closed breaker')
      const metrics = await proxy.metrics()
      assert.equal(readMetric(metrics, 'mtg_upstream_state', { upstream: `127.0.0.1:${bad.port}` }), 0)
      assert.ok(readMetric(metrics, 'mtg_upstream_failures', { upstream: `127.0.0.1:${bad.port}` }) >= 2)
      assert.equal(readMetric(metrics, 'mtg_dc_dial_failures'), 0, 'no client noticed')
    }
  },
)

test(
  'behind one dead proxy every dial fails, and from the threshold on without a try',
  { timeout },
  async (t) => {
    const dead = await startSocksServer(t, { ...ACCOUNT, fault: { at: 'credentials', how: 'hang' } })
    const { proxy, dc } = await startBehind(t, [socks5(dead.port, { ...ACCOUNT, openThreshold: 3 })], {
      tcpMs: 200,
    })
    for (let n = 0; n < 6; n++) await fails(proxy)
    assert.equal(dead.connections, 3)
    assert.equal(dc.connections.length, 0, 'nothing goes past a proxy')
    await waitMetric(proxy, 'mtg_upstream_state', {}, 2)
    await waitMetric(proxy, 'mtg_dc_dial_failures', {}, 6)
    assert.match(proxy.logText(), /cannot dial to telegram: upstream/)
    assert.doesNotMatch(proxy.logText(), /anna|hunter2/)
  },
)

test('a proxy that is down is refused at once, wrong credentials are no way in', { timeout }, async (t) => {
  const strict = await startSocksServer(t, ACCOUNT)
  const proxies = [socks5(await findFreePort()), socks5(strict.port, { username: 'anna', password: 'x' })]
  const { proxy, dc } = await startBehind(t, proxies)
  await fails(proxy)
  assert.deepEqual(
    (await listUpstreams(proxy)).map(({ failed_dials }) => failed_dials),
    [1, 1],
  )
  assert.equal(dc.connections.length, 0)
})

test('a reload changes the ways; those that stay keep their numbers', { timeout }, async (t) => {
  const servers = [await startSocksServer(t), await startSocksServer(t)] as const
  const { proxy } = await startBehind(t, [socks5(servers[0].port)])
  await exchange(proxy, 'before')
  const { config } = proxy
  const network = { ...config.network, proxies: servers.map(({ port }) => socks5(port)) }
  await proxy.running.reload({ ...config, network })
  await exchange(proxy, 'after')
  await exchange(proxy, 'after')
  assert.deepEqual(counts(servers), [2, 1])
  assert.deepEqual(
    (await listUpstreams(proxy)).map(({ dials }) => dials),
    [2, 1],
  )
  await proxy.running.reload({ ...config, network: { ...config.network, proxies: [] } })
  await exchange(proxy, 'directly')
  assert.deepEqual(counts(servers), [2, 1])
  assert.deepEqual(await listUpstreams(proxy), [])
})

async function startSecondDc(t: TestContext): Promise<StreamDc> {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  return dc
}

test(
  'a data centre with ways of its own takes those, with fail-over, and its media side too',
  { timeout },
  async (t) => {
    const usual = await startSocksServer(t)
    const own = await startSocksServer(t)
    const [first, second, third] = [await startSecondDc(t), await startSecondDc(t), await startSecondDc(t)]
    const at = (dc: StreamDc): { host: string; port: number }[] => [{ host: '127.0.0.1', port: dc.port }]
    const { proxy } = await startWorld(t, {
      dcs: { 2: at(first), 4: at(second), 203: at(third) },
      config: {
        network: { proxies: [socks5(usual.port)] },
        dcRoutes: { 203: [socks5(await findFreePort()), socks5(own.port)], 4: [DIRECT] },
      },
    })
    await exchange(proxy, 'as usual', 2)
    await exchange(proxy, 'directly', 4)
    for (let n = 0; n < 2; n++) await exchange(proxy, 'own', 203)
    await exchange(proxy, 'media', -203)
    assert.deepEqual(usual.targets, [`127.0.0.1:${first.port}`])
    assert.deepEqual(
      own.targets,
      Array.from({ length: 3 }, () => `127.0.0.1:${third.port}`),
    )
    assert.equal(second.connections.length, 1)
  },
)

test(
  'strangers go to the site directly, and through the proxies where that is asked for',
  { timeout },
  async (t) => {
    const socks = await startSocksServer(t)
    const visit = async (proxy: TestProxy): Promise<void> => {
      const stranger = connect(proxy.port, '127.0.0.1')
      stranger.on('error', () => {})
      stranger.write('GET / HTTP/1.1\r\n\r\n')
      t.after(() => stranger.destroy())
      await once(stranger, 'connect')
    }
    const network = { proxies: [socks5(socks.port)] }
    const direct = await startWorld(t, { config: { network } })
    await visit(direct.proxy)
    await waitUntil(() => direct.site.connections.length === 1, 'a visit')
    assert.equal(socks.connections, 0)
    const via = await startWorld(t, { config: { network, domainFronting: { viaProxies: true } } })
    await visit(via.proxy)
    await waitUntil(() => via.site.connections.length === 1, 'a visit')
    assert.deepEqual(socks.targets, [`127.0.0.1:${via.site.port}`])
  },
)
