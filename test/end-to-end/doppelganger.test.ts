import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DoppelgangerConfig } from '#shared/config'
import type { FrontFlight } from '#shared/traffic-profile'
import { buildClientHello, HYBRID_HELLO_BYTES, USUAL_HELLO_BYTES } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret, type FakeTlsClient } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import type { TestProxy } from '../support/proxy.ts'
import { socks5 } from '../support/routes.ts'
import { seeAnswer } from '../support/see-answer.ts'
import { startSocksServer } from '../support/socks-server.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { startTlsSite } from '../support/tls-site.ts'
import { buildRequest, readPattern } from './transfer.ts'
import { makeSecret, startProxyIn, waitUntil } from './world.ts'

const timeout = 30_000
const DEFAULTS: DoppelgangerConfig = {
  urls: [],
  repeatsPerRaid: 3,
  raidEachMs: 21_600_000,
  drs: false,
  pacing: 'burst',
  learnFront: true,
}

const hasLogged = (proxy: TestProxy, text: string): boolean => proxy.logText().includes(text)
const logged = (proxy: TestProxy, message: string): Record<string, unknown>[] =>
  proxy.logLines().filter((line) => line['message'] === message)

const FRONTS = [
  { name: 'X25519MLKEM768', ecdhCurve: 'X25519MLKEM768:X25519', ciphers: 'TLS_CHACHA20_POLY1305_SHA256' },
  { name: 'X25519', ecdhCurve: 'X25519', ciphers: 'TLS_AES_256_GCM_SHA384' },
] as const

for (const { name, ...tls } of FRONTS) {
  test(`clients are answered like the front, which takes ${name}`, { timeout }, async (t) => {
    const site = await startTlsSite({ ...tls, ALPNProtocols: ['h2', 'http/1.1'] })
    t.after(() => site.close())
    const dc = await startStreamDc({ mode: 'echo' })
    t.after(() => dc.close())
    const secret = makeSecret(1)
    const proxy = await startProxyIn(t, {
      users: { alice: secret, bob: makeSecret(2, 'other.test') },
      dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
      fronting: { host: '127.0.0.1', port: site.port },
      config: { defense: { doppelganger: DEFAULTS } },
      workers: 2,
    })
    await waitUntil(() => hasLogged(proxy, 'updated server flights'), 'the front is known')
    const [line] = logged(proxy, 'updated server flights')
    assert.deepEqual([line?.['logger'], line?.['hosts'], line?.['failed']], ['proxy.doppelganger', 2, 0])
    const names = site.connections
      .map(({ servername }) => String(servername))
      .toSorted((a, b) => a.localeCompare(b))
    assert.deepEqual(
      Map.groupBy(names, (host) => host)
        .entries()
        .map(([host, of]) => [host, of.length])
        .toArray(),
      [
        ['front.test', 6],
        ['other.test', 6],
      ],
    )
    const seen = logged(proxy, 'updated server flight').find((entry) => entry['host'] === 'front.test')
    assert.ok(seen)
    const sizes = (seen['hybrid'] as FrontFlight).encryptedBytes

    // The threads are told one after the other, and a client may come before.
    const cipher = tls.ciphers === 'TLS_CHACHA20_POLY1305_SHA256' ? 0x1303 : 0x1302
    const connect = (): Promise<FakeTlsClient> =>
      connectFakeTls({ port: proxy.port, secret, dc: 2, helloSize: HYBRID_HELLO_BYTES })
    await waitUntil(async () => {
      const client = await connect()
      client.destroy()
      return client.flight.cipher === cipher
    }, 'clients are answered with the suite of the front')
    for (let i = 0; i < 4; i++) {
      const client = await connect()
      client.write(Buffer.from('hello'))
      assert.equal(String(await client.read(5)), 'hello')
      const { flight } = client
      client.destroy()
      assert.equal(flight.group, name === 'X25519' ? 0x001d : 0x11ec)
      assert.ok(
        sizes.includes(5 + flight.applicationDataBytes),
        `${flight.applicationDataBytes} of ${sizes.join()}`,
      )
    }
    const old = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    assert.equal(old.flight.group, 0x001d, 'whoever offers no hybrid share gets none')
    old.destroy()
    assert.ok(!proxy.logText().includes(secret.slice(2, 34)), 'no secret in a log')
  })
}

for (const group of ['X25519MLKEM768:X25519', 'X25519']) {
  for (const size of [USUAL_HELLO_BYTES, HYBRID_HELLO_BYTES]) {
    test(
      `the same hello of ${size} bytes: we and a site with ${group} answer alike`,
      { timeout },
      async (t) => {
        const site = await startTlsSite({ ecdhCurve: group, ALPNProtocols: ['h2', 'http/1.1'] })
        t.after(() => site.close())
        const secret = makeSecret(1)
        const proxy = await startProxyIn(t, {
          users: { alice: secret },
          dcs: { 2: [{ host: '127.0.0.1', port: 9 }] },
          fronting: { host: '127.0.0.1', port: site.port },
          config: { defense: { doppelganger: DEFAULTS } },
        })
        await waitUntil(() => hasLogged(proxy, 'updated server flights'), 'the front is known')
        const { key } = parseClientSecret(secret)
        const hello = buildClientHello({ key, host: 'front.test', size })
        const direct = await seeAnswer(site.port, hello.bytes)
        const ours = await seeAnswer(proxy.port, hello.bytes)
        assert.equal(
          ours.clear,
          direct.clear,
          'suite, order of extensions, group and size of the share, to the byte',
        )
        const difference = ours.encryptedBytes - direct.encryptedBytes
        assert.ok(Math.abs(difference) <= 4, `${difference} bytes; signatures differ by as much`)
      },
    )
  }
}

test('a front that is down is a warning; clients are served all the same', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const secret = makeSecret(1)
  const proxy = await startProxyIn(t, {
    users: { alice: secret },
    dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    config: { defense: { doppelganger: DEFAULTS } },
  })
  await waitUntil(() => hasLogged(proxy, 'cannot learn'), 'it is said')
  const [line] = logged(proxy, 'cannot learn')
  assert.equal(line?.['level'], 'warn')
  assert.match(String(line?.['error']), /^127\.0\.0\.1:9 as front\.test: .*ECONNREFUSED/)
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  client.write(Buffer.from('hello'))
  assert.equal(String(await client.read(5)), 'hello')
  assert.ok(client.flight.applicationDataBytes >= 2500 && client.flight.applicationDataBytes <= 4699)
})

test(
  'pages are visited in rounds, and their pace and handshake are learnt; a reload visits others',
  { timeout },
  async (t) => {
    const visits: string[] = []
    const site = await startTlsSite({}, (socket) => {
      socket.once('data', (chunk: Buffer) => {
        visits.push(String(chunk).split(' ')[1] ?? '')
        socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
        let records = 0
        const timer = setInterval(() => {
          socket.write(Buffer.alloc(1000))
          records += 1
          if (records < 40) return
          clearInterval(timer)
          socket.end()
        }, 1)
      })
    })
    t.after(() => site.close())
    const secret = makeSecret(1)
    const url = (path: string): string => `https://127.0.0.1:${site.port}/${path}`
    const doppelganger = { ...DEFAULTS, learnFront: false, urls: [url('a'), url('b')] }
    const proxy = await startProxyIn(t, {
      users: { alice: secret },
      dcs: { 2: [{ host: '127.0.0.1', port: 9 }] },
      config: { defense: { doppelganger } },
    })
    await waitUntil(() => hasLogged(proxy, 'updated noise params'), 'the pages are known')
    assert.deepEqual(visits, ['/a', '/b', '/a', '/b', '/a', '/b'])
    assert.match(proxy.logText(), /"updated noise params: mean=\d{3,4} jitter=100 samples=3"/)
    assert.match(proxy.logText(), /"updated delay params: k=\d+\.\d{4} lambda=\d+\.\d{4} samples=\d{3}"/)

    await proxy.reload({
      defense: { doppelganger: { ...doppelganger, urls: [url('c')], repeatsPerRaid: 1 } },
    })
    await waitUntil(() => visits.includes('/c'), 'the new page is visited')
    assert.equal(visits.length, 7)
  },
)

test(
  'what a client gets in each mode of pacing is what was sent; the mode is live',
  { timeout },
  async (t) => {
    const dc = await startStreamDc({ mode: 'source' })
    t.after(() => dc.close())
    const secret = makeSecret(1)
    const proxy = await startProxyIn(t, {
      users: { alice: secret },
      dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    })
    const bytes = 600_000
    for (const pacing of ['full', 'off', 'burst'] as const) {
      for (const drs of [false, true]) {
        await proxy.reload({ defense: { doppelganger: { ...DEFAULTS, learnFront: false, pacing, drs } } })
        const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
        client.write(buildRequest(bytes))
        await readPattern(client, bytes)
        const { recordLengths } = client
        assert.ok(recordLengths.every((length) => length <= 16_401))
        assert.ok(recordLengths.slice(0, -1).every((length) => length > 16))
        if (drs)
          assert.ok(
            recordLengths.slice(0, 40).every((length) => length <= 1450),
            recordLengths.join(),
          )
        else assert.ok(recordLengths[0]! > 1450)
        client.end()
        await client.ended
      }
    }
  },
)

test(
  'with via-proxies the site is learnt from through the proxies, whichever of them works',
  { timeout },
  async (t) => {
    const site = await startTlsSite({ ecdhCurve: 'X25519' }, (socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'))
    })
    t.after(() => site.close())
    const socks = await startSocksServer(t, { username: 'anna', password: 'hunter2' })
    const working = socks5(socks.port, { host: 'localhost', username: 'anna', password: 'hunter2' })
    const proxy = await startProxyIn(t, {
      users: { alice: makeSecret(1) },
      dcs: { 2: [{ host: '127.0.0.1', port: 9 }] },
      fronting: { host: '127.0.0.1', port: site.port },
      config: {
        network: { proxies: [socks5(await findFreePort()), working] },
        domainFronting: { viaProxies: true },
        defense: {
          doppelganger: { ...DEFAULTS, urls: [`https://localhost:${site.port}/`], repeatsPerRaid: 3 },
        },
      },
    })
    await waitUntil(() => hasLogged(proxy, 'updated server flights'), 'the front is known')
    await waitUntil(() => hasLogged(proxy, 'updated noise params'), 'the page is known')
    assert.equal(site.connections.length, 9, 'six hellos, three pages')
    assert.deepEqual(new Set(socks.targets), new Set([`127.0.0.1:${site.port}`]))
    assert.equal(socks.targets.length, 9, 'nothing goes past the proxies')
    assert.doesNotMatch(proxy.logText(), /hunter2|anna/)
  },
)
