import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DefenseConfig, IpListConfig, ProxyConfig, RefuseAction } from '#shared/config'
import { buildClientHello } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startListServer } from '../support/list-server.ts'
import type { TestProxy } from '../support/proxy.ts'
import { socks5 } from '../support/routes.ts'
import { startSocksServer } from '../support/socks-server.ts'
import type { ToldVerdict } from './ip-filter-worker.ts'
import { RawPeer } from './raw-peer.ts'
import { HOST, makeSecret, readMetric, startWorld, waitMetric, waitUntil, type World } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 30_000
const LOOPBACK = '127.0.0.0/8'
const OFF: IpListConfig = {
  enabled: false,
  sources: [],
  downloadConcurrency: 2,
  updateEachMs: 86_400_000,
  action: 'close',
}

function createFolder(t: TestContext): string {
  const folder = makeDirectory(t)
  return folder
}

/** A list with these networks in a file. */
function listOf(t: TestContext, networks: string, action: RefuseAction = 'close'): IpListConfig {
  const path = join(createFolder(t), 'list')
  writeFileSync(path, networks)
  return { ...OFF, enabled: true, sources: [{ kind: 'file', path }], action }
}

const urlList = (url: string): IpListConfig => ({ ...OFF, enabled: true, sources: [{ kind: 'url', url }] })

/** What a reload brings: the rest of the configuration stays. */
function withDefense(config: ProxyConfig, defense: Partial<DefenseConfig>): ProxyConfig {
  return { ...config, defense: { ...config.defense, ...defense } }
}

async function assertServed({ proxy, secret }: World): Promise<void> {
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  client.write(Buffer.from('hello'))
  assert.equal((await client.read(5)).toString(), 'hello')
  client.destroy()
}

async function assertClosed(proxy: TestProxy): Promise<void> {
  const peer = await RawPeer.connect(proxy.port)
  await peer.waitOver()
  assert.equal(peer.received.length, 0)
  peer.socket.destroy()
}

function findLines(proxy: TestProxy, message: string): Record<string, unknown>[] {
  return proxy.logLines().filter((line) => line['message'] === message)
}

test(
  'who is on the blocklist is closed without a byte, before any limit is asked',
  { timeout },
  async (t) => {
    const world = await startWorld(t, {
      config: { concurrency: 0, defense: { blocklist: listOf(t, LOOPBACK) } },
    })
    const { proxy } = world
    for (let n = 0; n < 3; n++) await assertClosed(proxy)
    await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 3)
    await waitMetric(proxy, 'mtg_iplist_size', { ip_list: 'blocklist' }, 1)
    await waitMetric(proxy, 'mtg_iplist_size', { ip_list: 'allowlist' }, 2)
    const text = await proxy.metrics()
    assert.equal(readMetric(text, 'mtg_concurrency_limited'), 0)
    assert.equal(readMetric(text, 'mtg_client_connections'), 0)
    assert.equal(world.site.connections.length, 0)
    const lines = findLines(proxy, 'ip was blacklisted')
    assert.deepEqual(
      lines.map(({ level, ip }) => [level, ip]),
      Array.from({ length: 3 }, () => ['debug', '127.0.0.1']),
    )
    assert.equal(findLines(proxy, 'ip list was updated')[0]?.['networks'], 1)
  },
)

test(
  'whom the list fronts sees the site with every byte, whatever secret it knows',
  { timeout },
  async (t) => {
    const other = makeSecret(2, 'other.test')
    const world = await startWorld(t, {
      users: { alice: makeSecret(1), zoe: other },
      config: { defense: { blocklist: listOf(t, LOOPBACK, 'front') } },
    })
    const { proxy, site } = world
    const hellos = [makeSecret(1), other].map((secret) => buildClientHello(parseClientSecret(secret)).bytes)
    for (const bytes of [...hellos, hellos[0]!, Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const peer = await RawPeer.connect(proxy.port)
      peer.write(bytes.subarray(0, 7))
      peer.write(bytes.subarray(7))
      const visitor = await site.nextConnection()
      assert.ok((await visitor.waitReceived(bytes.length)).equals(bytes))
      visitor.socket.write('the site')
      assert.equal((await peer.waitReceived(8)).toString(), 'the site')
      peer.write(Buffer.from('more'))
      await visitor.waitReceived(bytes.length + 4)
      peer.socket.end()
      await peer.waitOver()
    }
    await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 4)
    await waitMetric(proxy, 'mtg_domain_fronting', {}, 4)
    // The same hello twice is no replay: no key was tried, nothing was remembered.
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'ip-list' }, 3)
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'record-type' }, 1)
    const text = await proxy.metrics()
    assert.equal(readMetric(text, 'mtg_replay_attacks'), 0)
    assert.equal(readMetric(text, 'mtg_handshakes', { outcome: 'ok' }), 0)
    assert.equal(
      Object.values((await proxy.stats()).users).filter(({ last_seen }) => last_seen !== null).length,
      0,
    )
  },
)

test('whom the list fronts gets the host that it names, as any stranger does', { timeout }, async (t) => {
  // Hosts that need no resolver. The first user's is where nobody listens.
  const [nowhere, here] = [makeSecret(1, '127.0.0.2'), makeSecret(2, '127.0.0.1')]
  const world = await startWorld(t, {
    users: { alice: nowhere, zoe: here },
    config: {
      defense: { allowlist: listOf(t, '192.0.2.0/24', 'front') },
      domainFronting: { host: null },
    },
  })
  const peer = await RawPeer.connect(world.proxy.port)
  const hello = buildClientHello(parseClientSecret(here)).bytes
  peer.write(hello)
  const visitor = await world.site.nextConnection()
  assert.ok((await visitor.waitReceived(hello.length)).equals(hello))
  peer.socket.destroy()
  await waitMetric(world.proxy, 'mtg_ip_blocklisted', { ip_list: 'allowlist' }, 1)

  // Nobody looks for a key of his, nor at the time (decision W4).
  const { host } = parseClientSecret(here)
  const forged = buildClientHello({ host, key: Buffer.alloc(16, 9) }).bytes
  const old = buildClientHello({ ...parseClientSecret(here), unixTime: 1 }).bytes
  for (const bytes of [forged, old]) {
    const other = await RawPeer.connect(world.proxy.port)
    other.write(bytes)
    await (await world.site.nextConnection()).waitReceived(bytes.length)
    other.socket.destroy()
  }
  await waitMetric(world.proxy, 'mtg_handshakes', { outcome: 'ip-list' }, 3)
  assert.equal(readMetric(await world.proxy.metrics(), 'mtg_handshakes'), 3)
})

test('the allowlist is asked first; who is on it gets in, who is not is closed', { timeout }, async (t) => {
  const inside = await startWorld(t, {
    config: { defense: { allowlist: listOf(t, `${LOOPBACK}\n192.0.2.1`) } },
  })
  await assertServed(inside)
  const both = { allowlist: listOf(t, '192.0.2.1'), blocklist: listOf(t, LOOPBACK, 'front') }
  const outside = await startWorld(t, { config: { defense: both } })
  await assertClosed(outside.proxy)
  await waitMetric(outside.proxy, 'mtg_ip_blocklisted', { ip_list: 'allowlist' }, 1)
  await waitMetric(outside.proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 0)
  assert.equal(findLines(outside.proxy, 'ip was rejected by allowlist')[0]?.['ip'], '127.0.0.1')
})

test(
  'a client of a dual-stack listener is IPv4 to the lists, its neighbour is IPv6',
  { timeout },
  async (t) => {
    const world = await startWorld(t, {
      config: { bindTo: [{ host: '::', port: 0 }], defense: { blocklist: listOf(t, '127.0.0.1') } },
    })
    await assertClosed(world.proxy)
    assert.equal(findLines(world.proxy, 'ip was blacklisted')[0]?.['ip'], '127.0.0.1')
    const peer = new RawPeer(connect({ port: world.proxy.port, host: '::1' }))
    peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await (await world.site.nextConnection()).waitReceived(4)
    peer.socket.destroy()
  },
)

test('a reload turns lists on and off and changes what they do, in every thread', { timeout }, async (t) => {
  const channel = new BroadcastChannel('ip-filter-worker')
  t.after(() => channel.close())
  const told = new Map<number, string>()
  channel.addEventListener('message', ({ data }: { data: unknown }) => {
    const { thread, verdict } = data as ToldVerdict // the worker posts nothing else
    told.set(thread, verdict)
  })
  const allTold = (verdict: string): Promise<void> =>
    waitUntil(() => [0, 1].every((thread) => told.get(thread) === verdict), `${verdict} in both threads`)

  const path = join(createFolder(t), 'list')
  writeFileSync(path, LOOPBACK)
  const blocklist: IpListConfig = { ...OFF, enabled: true, sources: [{ kind: 'file', path }] }
  const world = await startWorld(t, {
    workers: 2,
    config: { defense: { blocklist } },
    workerEntry: new URL('ip-filter-worker.ts', import.meta.url).href,
  })
  const { proxy, site } = world
  const { running } = proxy
  await allTold('blocklisted')
  await assertClosed(proxy)

  await running.reload(withDefense(proxy.config, { blocklist: { ...blocklist, action: 'front' } }))
  await waitUntil(() => findLines(proxy, 'ip list was updated').length === 2, 'the list with its new action')
  const peer = await RawPeer.connect(proxy.port)
  peer.write(Buffer.from('anything'))
  await (await site.nextConnection()).waitReceived(8)
  peer.socket.destroy()

  await running.reload(withDefense(proxy.config, { blocklist: OFF }))
  await assertServed(world)
  await allTold('allowed')

  await running.reload(withDefense(proxy.config, { allowlist: listOf(t, '192.0.2.1') }))
  await allTold('not-allowlisted')
  await assertClosed(proxy)
})

test(
  'a download is enforced from the first connection after a restart on, without its server',
  { timeout },
  async (t) => {
    const server = await startListServer(t, { '/list': { body: LOOPBACK } })
    const cacheDirectory = createFolder(t)
    const options = { cacheDirectory, config: { defense: { blocklist: urlList(server.url('/list')) } } }
    const before = await startWorld(t, options)
    await waitUntil(() => findLines(before.proxy, 'ip list was updated').length === 1, 'the list')
    await assertClosed(before.proxy)
    await before.proxy.running.stop()
    await server.close()

    const after = await startWorld(t, options)
    await assertClosed(after.proxy)
    // At least one: it is tried again after 2 s.
    await waitUntil(
      async () =>
        readMetric(await after.proxy.metrics(), 'mtg_iplist_update_failures', { ip_list: 'blocklist' }) >= 1,
      'a failure',
    )
    await assertClosed(after.proxy)
    assert.equal(findLines(after.proxy, 'update has failed')[0]?.['filename'], server.url('/list'))
  },
)

test('with an allowlist to be downloaded nobody is accepted before it is there', { timeout }, async (t) => {
  const channel = new BroadcastChannel('ip-filter-worker')
  t.after(() => channel.close())
  const workerUp = new Promise((resolve) => channel.addEventListener('message', resolve, { once: true }))
  const gate = Promise.withResolvers<void>()
  const server = await startListServer(t, { '/list': { body: LOOPBACK, after: gate.promise } })
  const [port, apiPort] = [await findFreePort(), await findFreePort()]
  const starting = startWorld(t, {
    config: {
      bindTo: [{ host: '127.0.0.1', port }],
      apiBindTo: { host: '127.0.0.1', port: apiPort },
      defense: { allowlist: urlList(server.url('/list')) },
    },
    workerEntry: new URL('ip-filter-worker.ts', import.meta.url).href,
  })
  await workerUp
  await waitUntil(() => server.open.now === 1, 'the download')
  // Time enough for a proxy that does not wait: one that does passes at any speed.
  await sleep(500)
  const ready = (): Promise<Response> => fetch(`http://127.0.0.1:${apiPort}/health/ready`)
  assert.equal((await ready()).status, 503)
  const early = connect({ port, host: '127.0.0.1' })
  const [error] = (await once(early, 'error')) as [NodeJS.ErrnoException] // it is the only event of a refusal
  assert.equal(error.code, 'ECONNREFUSED')
  gate.resolve()
  await assertServed(await starting)
  assert.equal((await ready()).status, 200)
})

test(`${HOST} is shown to whom the allowlist fronts, silent or not`, { timeout }, async (t) => {
  const timeouts = { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 1000 }
  const world = await startWorld(t, {
    config: { defense: { allowlist: listOf(t, '192.0.2.1', 'front') }, network: { timeout: timeouts } },
  })
  const peer = await RawPeer.connect(world.proxy.port)
  const visitor = await world.site.nextConnection()
  visitor.socket.write('speak')
  assert.equal((await peer.waitReceived(5)).toString(), 'speak')
  peer.socket.destroy()
  await waitMetric(world.proxy, 'mtg_handshakes', { outcome: 'front-answered' }, 1)
})

test('lists are downloaded through the upstream proxies', { timeout }, async (t) => {
  const socks = await startSocksServer(t)
  const server = await startListServer(t, { '/list': { body: LOOPBACK } })
  const { proxy } = await startWorld(t, {
    cacheDirectory: createFolder(t),
    config: {
      network: { proxies: [socks5(socks.port)] },
      defense: { blocklist: urlList(server.url('/list')) },
    },
  })
  await waitMetric(proxy, 'mtg_iplist_size', { ip_list: 'blocklist' }, 1)
  await assertClosed(proxy)
  assert.deepEqual(socks.targets, [new URL(server.url('/list')).host])
})
