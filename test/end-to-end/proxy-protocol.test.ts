import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildClientHello } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret, type FakeTlsOptions } from '../support/faketls-client.ts'
import { startRecordingSite } from '../support/front-site.ts'
import { encodeV1, encodeV2, encodeV2Ipv4, encodeV2Ipv6 } from '../support/proxy-header.ts'
import { RawPeer } from './raw-peer.ts'
import {
  makeSecret,
  readMetric,
  startWorld,
  waitMetric,
  waitUntil,
  type World,
  type WorldOptions,
} from './world.ts'

const timeout = 30_000
const SECRET = makeSecret(1)
const BEHIND: WorldOptions['config'] = { proxyProtocolListener: true }
const CLIENT_V6 = Buffer.from('20010db8000000000000000000000007', 'hex')
const METRIC = 'mtg_proxy_protocol'

/** Named a host of ours and signed by nobody: fronted. */
const forgedHello = (): Buffer =>
  buildClientHello({ ...parseClientSecret(SECRET), random: Buffer.alloc(32, 9) }).bytes

async function assertServed(world: World, options: Partial<FakeTlsOptions>): Promise<void> {
  const client = await connectFakeTls({ port: world.proxy.port, secret: world.secret, dc: 2, ...options })
  client.write(Buffer.from('are you there?'))
  assert.equal((await client.read(14)).toString(), 'are you there?')
  client.destroy()
}

/** The client is closed without an answer, and the site hears nothing of it. */
async function assertClosed(world: World, bytes: Uint8Array): Promise<void> {
  const peer = await RawPeer.connect(world.proxy.port)
  peer.write(bytes)
  await peer.waitOver()
  assert.equal(peer.received.length, 0)
  assert.equal(world.site.connections.length, 0)
  peer.socket.destroy()
}

test('the client that the header names is the one in log, metrics and statistics', { timeout }, async (t) => {
  const world = await startWorld(t, { config: BEHIND })
  const { proxy } = world
  const preambles = [
    encodeV1('203.0.113.7', 1001),
    encodeV2Ipv4('203.0.113.8', 1002, Buffer.from('04000100', 'hex')),
    encodeV1('2001:db8::9', 1003),
    encodeV2Ipv6(CLIENT_V6, 1004),
    encodeV2Ipv6(Buffer.from('00000000000000000000ffffcb00710a', 'hex'), 1005),
  ]
  const clients = await Promise.all(
    preambles.map((preamble) => connectFakeTls({ port: proxy.port, secret: SECRET, dc: 2, preamble })),
  )
  await waitMetric(proxy, 'mtg_client_connections', { ip_family: 'ipv4' }, 3)
  await waitMetric(proxy, 'mtg_client_connections', { ip_family: 'ipv6' }, 2)
  await proxy.statsWhen((stats) => stats.users['alice']?.connections === 5)
  for (const client of clients) client.destroy()
  await waitMetric(proxy, 'mtg_client_connections', {}, 0)
  await waitMetric(proxy, METRIC, { outcome: 'v1' }, 2)
  await waitMetric(proxy, METRIC, { outcome: 'v2' }, 3)

  const addresses = new Set(proxy.logLines().map((line) => line['client-ip']))
  addresses.delete(undefined)
  assert.deepEqual(
    addresses,
    new Set(['203.0.113.7', '203.0.113.8', '2001:db8::9', '2001:db8::7', '203.0.113.10']),
  )
})

test('header and hello may be cut anywhere', { timeout }, async (t) => {
  const world = await startWorld(t, { config: BEHIND })
  for (const preamble of [encodeV1('203.0.113.7', 1), encodeV2Ipv4('203.0.113.7', 1, Buffer.alloc(20))]) {
    await assertServed(world, { preamble, splitHello: 'bytes' })
    await assertServed(world, { preamble, splitHello: [preamble.length] })
    await assertServed(world, { preamble, splitHello: [preamble.length - 1, preamble.length + 1] })
  }
})

/** wire.md §13 C2: the reference ends with a crash at the last four. */
test(
  'a balancer that speaks for itself, or of no TCP connection, keeps its own address',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { config: BEHIND })
    const preambles = [
      Buffer.from('PROXY UNKNOWN\r\n'),
      encodeV2({ command: 0x20, family: 0x00, addresses: Buffer.alloc(0) }),
      encodeV2({ family: 0x00, addresses: Buffer.alloc(0) }),
      encodeV2({ family: 0x12, addresses: Buffer.alloc(12, 1) }),
      encodeV2({ family: 0x22, addresses: Buffer.alloc(36, 1) }),
      encodeV2({ family: 0x31, addresses: Buffer.alloc(216, 1) }),
      encodeV2({ family: 0x32, addresses: Buffer.alloc(216, 1) }),
    ]
    for (const preamble of preambles) await assertServed(world, { preamble })
    await waitMetric(world.proxy, METRIC, { outcome: 'local' }, preambles.length)
    const lines = world.proxy.logLines().filter(({ message }) => message === 'Stream has been started')
    assert.deepEqual(
      lines.map((line) => line['client-ip']),
      preambles.map(() => '127.0.0.1'),
    )
  },
)

test('without a sound header a connection is closed and counted, never fronted', { timeout }, async (t) => {
  const world = await startWorld(t, { config: BEHIND })
  const hello = buildClientHello(parseClientSecret(SECRET)).bytes
  await assertClosed(world, hello)
  await assertClosed(world, Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  await assertClosed(world, Buffer.concat([Buffer.from('PROXY TCP4 203.0.113.7\r\n'), hello]))
  await assertClosed(world, encodeV2({ family: 0x41, addresses: Buffer.alloc(12) }))
  await assertClosed(world, encodeV2({ family: 0x13, addresses: Buffer.alloc(12) }))
  await waitMetric(world.proxy, METRIC, { outcome: 'absent' }, 2)
  await waitMetric(world.proxy, METRIC, { outcome: 'malformed' }, 3)

  const leaver = await RawPeer.connect(world.proxy.port)
  leaver.write(Buffer.from('PROXY '))
  leaver.socket.end()
  await leaver.waitOver()
  await waitMetric(world.proxy, METRIC, { outcome: 'peer-closed' }, 1)
  await assertServed(world, { preamble: encodeV1('203.0.113.7', 1) })
})

/** wire.md §13 C3: in the reference one silent peer keeps everybody waiting for 10 s. */
test('peers that never send their header delay nobody, and are closed after 5 s', { timeout }, async (t) => {
  const world = await startWorld(t, { config: BEHIND })
  const begunMs = performance.now()
  const silent = await Promise.all(Array.from({ length: 50 }, () => RawPeer.connect(world.proxy.port)))
  silent[0]?.write(Buffer.from('PROXY TCP4 ')) // and one that stops in the middle
  await waitMetric(world.proxy, 'mtg_client_connections', {}, silent.length)
  const servedFromMs = performance.now()
  for (let i = 0; i < 20; i++) await assertServed(world, { preamble: encodeV2Ipv4('203.0.113.7', i) })
  t.diagnostic(`20 clients served within ${Math.round(performance.now() - servedFromMs)} ms`)
  assert.ok(silent.every((peer) => !peer.hasEnded) || performance.now() - begunMs > 4500)
  await Promise.all(silent.map((peer) => peer.waitOver()))
  await waitMetric(world.proxy, METRIC, { outcome: 'deadline' }, silent.length)
  assert.equal(world.site.connections.length, 0)
})

test('a header from elsewhere than the trusted networks is refused', { timeout }, async (t) => {
  const config = { ...BEHIND, proxyProtocolTrusted: ['127.0.0.2/32', '::1/128'] }
  const world = await startWorld(t, { config })
  const preamble = encodeV1('203.0.113.7', 1)
  await assertServed(world, { preamble, localAddress: '127.0.0.2' })
  await assertClosed(world, Buffer.concat([preamble, forgedHello()]))
  await waitMetric(world.proxy, METRIC, { outcome: 'untrusted' }, 1)
  const line = world.proxy.logLines().find(({ message }) => message === 'cannot read PROXY header')
  assert.deepEqual(
    [line?.['level'], line?.['client-ip'], line?.['error']],
    ['debug', '127.0.0.1', '127.0.0.1 is not in proxy-protocol-trusted'],
  )
  assert.ok(!world.proxy.logLines().some((entry) => entry['client-ip'] === '203.0.113.7' && 'error' in entry))
})

test(
  'a fronted stranger arrives without the header, every byte behind it in place',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { config: BEHIND })
    const [preamble, hello] = [encodeV2Ipv4('203.0.113.7', 7), forgedHello()]
    const peer = await RawPeer.connect(world.proxy.port)
    peer.write(Buffer.concat([preamble, hello]))
    const visitor = await world.site.nextConnection()
    assert.deepEqual(await visitor.waitReceived(hello.length), hello)
    peer.write(Buffer.from('and on'))
    assert.deepEqual(
      (await visitor.waitReceived(hello.length + 6)).subarray(hello.length),
      Buffer.from('and on'),
    )
    await waitMetric(
      world.proxy,
      'mtg_domain_fronting_traffic',
      { direction: 'from_client' },
      hello.length + 6,
    )
    peer.socket.destroy()
  },
)

test('the site is told who the client is, and the header is nobody’s traffic', { timeout }, async (t) => {
  for (const isBehind of [false, true]) {
    const world = await startWorld(t, {
      config: { proxyProtocolListener: isBehind, domainFronting: { proxyProtocol: true } },
    })
    const hello = forgedHello()
    const peer = await RawPeer.connect(world.proxy.port)
    peer.write(isBehind ? Buffer.concat([encodeV2Ipv6(CLIENT_V6, 77), hello]) : hello)
    const visitor = await world.site.nextConnection()
    const mapped = Buffer.from('00000000000000000000ffff7f000001', 'hex')
    const ports = Buffer.alloc(4)
    ports.writeUInt16BE(isBehind ? 77 : (peer.socket.localPort ?? 0), 0)
    ports.writeUInt16BE(world.site.port, 2)
    const loopback = Buffer.of(127, 0, 0, 1)
    const header = isBehind
      ? encodeV2({ family: 0x21, addresses: Buffer.concat([CLIENT_V6, mapped, ports]) })
      : encodeV2({ family: 0x11, addresses: Buffer.concat([loopback, loopback, ports]) })
    assert.deepEqual(await visitor.waitReceived(header.length + hello.length), Buffer.concat([header, hello]))
    await waitMetric(world.proxy, 'mtg_domain_fronting_traffic', { direction: 'from_client' }, hello.length)
    peer.socket.destroy()
    await visitor.waitClosed()
  }
})

/** wire.md §13 C1: in the reference any stranger ends the process so. */
test('an IPv4 client of a site on IPv6 is announced in mapped form', { timeout }, async (t) => {
  const site = await startRecordingSite({ host: '::1' })
  t.after(() => site.close())
  const world = await startWorld(t, {
    fronting: { host: '::1', port: site.port },
    config: { domainFronting: { host: '::1', port: site.port, proxyProtocol: true } },
  })
  const peer = await RawPeer.connect(world.proxy.port)
  peer.write(forgedHello())
  const visitor = await site.nextConnection()
  const header = await visitor.waitReceived(16 + 36)
  assert.equal(header.toString('hex', 12, 48), `2121002400000000000000000000ffff7f000001${'0'.repeat(31)}1`)
  peer.socket.destroy()
  await assertServed(world, {})
})

test('a silent client is announced to the site too', { timeout }, async (t) => {
  const world = await startWorld(t, {
    config: {
      domainFronting: { proxyProtocol: true },
      network: { timeout: { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 1000 } },
    },
  })
  const peer = await RawPeer.connect(world.proxy.port)
  const visitor = await world.site.nextConnection()
  assert.equal((await visitor.waitReceived(16 + 12)).length, 28)
  assert.equal(readMetric(await world.proxy.metrics(), 'mtg_domain_fronting_traffic'), 0)
  peer.socket.destroy()
})

test('who may send headers, and whether they have to, changes with a reload', { timeout }, async (t) => {
  const world = await startWorld(t, { config: BEHIND })
  const { running, config } = world.proxy
  const preamble = encodeV1('203.0.113.7', 1)
  await assertServed(world, { preamble })
  await running.reload({ ...config, proxyProtocolTrusted: ['127.0.0.2/32'] })
  await assertClosed(world, preamble)
  await running.reload({ ...config, proxyProtocolListener: false })
  await assertServed(world, {})
  await waitUntil(() => world.site.connections.length === 0, 'nobody was fronted')
})
