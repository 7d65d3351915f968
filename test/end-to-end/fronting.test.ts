import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:https'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { test } from 'node:test'
import { buildClientHello, splitIntoRecords, type ClientHelloOptions } from '../support/client-hello.ts'
import { connectFakeTls, connectRaw, FakeTlsClient, parseClientSecret } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { FRONT_SITE_CERTIFICATE, startHttpsSite, startRecordingSite } from '../support/front-site.ts'
import { countDialing, startBlackHole } from './black-hole.ts'
import { HASTE } from './hasty-worker.ts'
import { RawPeer } from './raw-peer.ts'
import {
  HOST,
  makeSecret,
  readMetric,
  startProxyIn,
  startWorld,
  waitMetric,
  waitUntil,
  type World,
} from './world.ts'
import { findFreePort } from '../support/free-port.ts'

const timeout = 30_000
const SHORT = { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 1000 }
const SECRET = makeSecret(1)

function buildHello(options: Partial<ClientHelloOptions> = {}): Buffer {
  return buildClientHello({ ...parseClientSecret(SECRET), ...options }).bytes
}

const forged = (sni: string): Buffer => buildHello({ sni, random: Buffer.alloc(32, 9) })

function change(bytes: Buffer, offset: number, value: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[offset] = value
  return changed
}

const record = (payload: Buffer): Buffer =>
  Buffer.concat([Buffer.of(0x16, 0x03, 0x01, payload.length >> 8, payload.length & 255), payload])

/** A hello that begins well: version and random, then `rest`. */
function bodyOf(rest: Buffer): Buffer {
  const body = Buffer.concat([Buffer.of(0x03, 0x03), Buffer.alloc(32, 3), rest])
  return record(Buffer.concat([Buffer.of(0x01, 0, 0, body.length), body]))
}

/** wire.md §2.5, with the outcome that is counted. What is refused early comes with more bytes behind. */
const ROWS: readonly [name: string, outcome: string, bytes: Buffer][] = [
  ['plain HTTP', 'record-type', Buffer.from('GET / HTTP/1.1\r\nHost: front.test\r\n\r\n')],
  ['an alert', 'record-type', change(buildHello(), 0, 0x15)],
  ['record version 03 03', 'record-version', change(buildHello(), 2, 0x03)],
  [
    'record version 03 03 in the second record',
    'record-version',
    change(splitIntoRecords(buildHello(), [100]), 107, 0x03),
  ],
  [
    'application data as second record',
    'record-type',
    change(splitIntoRecords(buildHello(), [100]), 105, 0x17),
  ],
  ['a ServerHello', 'handshake-type', change(buildHello(), 5, 0x02)],
  ['a ServerHello in pieces', 'handshake-type', splitIntoRecords(change(buildHello(), 5, 0x02), [1, 2, 3])],
  ['twelve records', 'too-many-records', splitIntoRecords(buildHello(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])],
  [
    'empty records only',
    'too-many-records',
    Buffer.concat(Array.from({ length: 12 }, () => record(Buffer.alloc(0)))),
  ],
  ['a record of 65535 bytes', 'hello-too-large', Buffer.of(0x16, 0x03, 0x01, 0xff, 0xff, 0x01)],
  ['a hello of 16 MiB', 'hello-too-large', record(Buffer.of(0x01, 0xff, 0xff, 0xff, 0x03, 0x03))],
  [
    'a body of 10 bytes',
    'hello-malformed',
    record(Buffer.concat([Buffer.of(0x01, 0, 0, 10), Buffer.alloc(10)])),
  ],
  ['an empty body', 'hello-malformed', record(Buffer.of(0x01, 0, 0, 0))],
  ['a session id beyond the end', 'hello-malformed', bodyOf(Buffer.of(0xff, 1, 2, 3))],
  ['suites beyond the end', 'hello-malformed', bodyOf(Buffer.of(0, 0, 4, 0x13, 0x01))],
  ['an odd number of suite bytes', 'hello-malformed', bodyOf(Buffer.of(0, 0, 3, 0x13, 0x01, 1, 0, 0, 0))],
  ['compression beyond the end', 'hello-malformed', bodyOf(Buffer.of(0, 0, 2, 0x13, 0x01, 9, 0, 0, 0))],
  ['GREASE as only suites', 'no-cipher', buildHello({ corrupt: 'no-cipher' })],
  ['extensions beyond the end', 'hello-malformed', buildHello({ corrupt: 'extensions' })],
  ['a name beyond its extension', 'hello-malformed', buildHello({ corrupt: 'sni-truncated' })],
  ['no name', 'sni-missing', buildHello({ sni: null })],
  ['an unknown name', 'sni-unknown', buildHello({ sni: 'else.test' })],
  ['a name that only begins like ours', 'sni-unknown', buildHello({ sni: `${HOST}.evil.test` })],
  ['another key', 'digest', buildHello({ key: Buffer.alloc(16, 1) })],
  ['one bit of the random', 'digest', buildHello({ corrupt: 'digest' })],
  ['a browser', 'digest', buildHello({ random: Buffer.alloc(32, 0x77) })],
  ['an old time', 'stale-time', buildHello({ unixTime: Math.floor(Date.now() / 1000) - 3600 })],
  ['a time to come', 'stale-time', buildHello({ unixTime: Math.floor(Date.now() / 1000) + 3600 })],
]

test('whoever is not ours ends at the site with every byte, and gets its answer', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2 })
  const { proxy, site } = world
  const outcomes = new Map<string, number>()
  let bytesUp = 0
  for (const [name, outcome, bytes] of ROWS) {
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    const peer = await RawPeer.connect(proxy.port)
    peer.write(bytes)
    const visitor = await site.nextConnection()
    assert.ok((await visitor.waitReceived(bytes.length)).equals(bytes), name)
    visitor.socket.write('answer')
    assert.equal((await peer.waitReceived(6)).toString(), 'answer', name)
    peer.write(Buffer.from('more'))
    assert.equal((await visitor.waitReceived(bytes.length + 4)).subarray(-4).toString(), 'more', name)
    peer.socket.end()
    await peer.waitOver()
    bytesUp += bytes.length + 4
  }
  for (const [outcome, count] of outcomes) await waitMetric(proxy, 'mtg_handshakes', { outcome }, count)
  await assertNobodyCharged(world)
  await waitMetric(proxy, 'mtg_domain_fronting', {}, ROWS.length)
  await waitMetric(proxy, 'mtg_domain_fronting_traffic', { direction: 'from_client' }, bytesUp)
  await waitMetric(proxy, 'mtg_domain_fronting_traffic', { direction: 'to_client' }, ROWS.length * 6)
  await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 0)
  await waitMetric(proxy, 'mtg_client_connections', {}, 0)
})

async function assertNobodyCharged({ proxy }: World): Promise<void> {
  const { total_connections, users } = await proxy.stats()
  const nothing = { connections: 0, bytes_in: 0, bytes_out: 0, last_seen: null }
  assert.deepEqual({ total_connections, users }, { total_connections: 0, users: { alice: nothing } })
}

test(
  'a client that ends early still reaches the site, which sees its FIN and answers',
  { timeout },
  async (t) => {
    const { proxy, site } = await startWorld(t)
    for (const bytes of [
      Buffer.of(0x16),
      buildHello().subarray(0, 300),
      Buffer.from('garbage'),
      buildHello({ sni: null }),
    ]) {
      const peer = await RawPeer.connect(proxy.port)
      peer.socket.end(bytes)
      const visitor = await site.nextConnection()
      assert.ok((await visitor.waitReceived(bytes.length)).equals(bytes))
      await waitUntil(() => visitor.ended, 'the FIN at the site')
      await peer.waitOver()
      assert.equal(peer.errorCode, null)
    }
    // The answer comes behind the client's FIN.
    const late = await startRecordingSite({
      reply: (received) => (received.length >= 4 ? Buffer.alloc(500_000, 5) : null),
    })
    t.after(() => late.close())
    const lateProxy = await startWorld(t, { fronting: { host: '127.0.0.1', port: late.port } })
    const peer = await RawPeer.connect(lateProxy.proxy.port)
    peer.socket.end('quit')
    assert.ok((await peer.waitReceived(500_000)).equals(Buffer.alloc(500_000, 5)))
    await peer.waitOver()
    assert.equal(peer.errorCode, null)
  },
)

test(
  'a client that says nothing and ends gets a FIN; one that resets leaves nothing behind',
  { timeout },
  async (t) => {
    const { proxy } = await startWorld(t)
    const quiet = await RawPeer.connect(proxy.port)
    quiet.socket.end()
    await quiet.waitOver()
    assert.equal(quiet.errorCode, null)
    for (const bytes of [Buffer.alloc(0), buildHello().subarray(0, 100), Buffer.from('garbage')]) {
      const peer = await RawPeer.connect(proxy.port)
      if (bytes.length > 0) peer.write(bytes)
      peer.socket.resetAndDestroy()
    }
    await waitMetric(proxy, 'mtg_handshakes', {}, 4)
    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
  },
)

test('whoever takes too long over the hello ends at the site with what he said', { timeout }, async (t) => {
  const { proxy, site } = await startWorld(t, { config: { network: { timeout: SHORT } } })
  const beginnings = [Buffer.alloc(0), Buffer.of(0x16, 0x03), buildHello().subarray(0, 516)]
  const peers: RawPeer[] = []
  for (const bytes of beginnings) {
    const peer = await RawPeer.connect(proxy.port)
    if (bytes.length > 0) peer.write(bytes)
    peers.push(peer)
  }
  await waitMetric(proxy, 'mtg_handshakes', { outcome: 'deadline' }, 3)
  for (const peer of peers) peer.write(Buffer.from('late'))
  const expected = beginnings.map((bytes) => `${bytes.toString('latin1')}late`).toSorted()
  const seen = (): string[] => site.connections.map(({ received }) => received.toString('latin1')).toSorted()
  await waitUntil(
    () => seen().length === 3 && seen().every((text) => text.endsWith('late')),
    'the late bytes of all three',
  )
  assert.deepEqual(seen(), expected)
  assert.equal(site.connections.length, 3)
  for (const peer of peers) peer.socket.destroy()
})

/** Nobody waits for the deadline in these tests: what happens, happens before it. */
const PATIENT = { ...SHORT, handshakeMs: 600_000 }

test(
  'half a hello is shown to the site long before the deadline, whose answer and end count',
  { timeout: 60_000 },
  async (t) => {
    const world = await startWorld(t, { workers: 2, config: { network: { timeout: PATIENT } } })
    const { proxy, site } = world
    const cases = [
      ['nothing', Buffer.alloc(0)],
      ['a record header', buildHello().subarray(0, 5)],
      ['all but one byte', buildHello().subarray(0, 516)],
      ['an empty record', record(Buffer.alloc(0))],
    ] as const
    for (const [name, bytes] of cases) {
      for (const answer of ['', 'alert']) {
        const peer = await RawPeer.connect(proxy.port)
        if (bytes.length > 0) peer.write(bytes)
        const visitor = await site.nextConnection()
        assert.ok((await visitor.waitReceived(bytes.length)).equals(bytes), name)
        visitor.socket.end(answer)
        await peer.waitOver()
        assert.equal(peer.received.toString(), answer, name)
        assert.equal(peer.errorCode, null, name)
        peer.socket.end()
      }
    }
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'front-answered' }, cases.length * 2)
    // A site that resets is seen to reset, and one that only answers is talked to.
    const reset = await RawPeer.connect(proxy.port)
    reset.write(Buffer.of(0x16))
    const resetting = await site.nextConnection()
    await resetting.waitReceived(1) // a reset at once would be a dial that failed
    resetting.socket.resetAndDestroy()
    await reset.waitOver()
    assert.equal(reset.errorCode, 'ECONNRESET')
    const talkative = await RawPeer.connect(proxy.port)
    const host = await site.nextConnection()
    host.socket.write('220 welcome')
    assert.equal(String(await talkative.waitReceived(11)), '220 welcome')
    const late = buildHello()
    talkative.write(late)
    assert.ok((await host.waitReceived(late.length)).equals(late))
    talkative.socket.end()
    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
    await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 0)
  },
)

test(
  'half a hello grows at the site as it grows here, and every byte arrives once',
  { timeout },
  async (t) => {
    const { proxy, site } = await startWorld(t, { config: { network: { timeout: PATIENT } } })
    const hello = buildHello({ sni: 'else.test' })
    const peer = await RawPeer.connect(proxy.port)
    const visitor = await site.nextConnection()
    for (const [begin, end] of [
      [0, 3],
      [3, 100],
      [100, 516],
    ] as const) {
      peer.write(hello.subarray(begin, end))
      assert.ok((await visitor.waitReceived(end)).equals(hello.subarray(0, end)))
    }
    peer.write(Buffer.concat([hello.subarray(516), Buffer.from('behind')]))
    assert.equal(String((await visitor.waitReceived(523)).subarray(517)), 'behind')
    assert.equal(site.connections.length, 1)
    assert.ok(visitor.received.subarray(0, 517).equals(hello))
    peer.socket.destroy()
  },
)

test(
  'bytes that come while the early site is still dialled decide, and nobody else hears its answer',
  { timeout },
  async (t) => {
    const hole = await startBlackHole(t)
    const fronting = { host: '127.0.0.1', port: hole.port }
    const { proxy } = await startWorld(t, { fronting, config: { network: { timeout: PATIENT } } })
    const peer = await RawPeer.connect(proxy.port)
    await waitUntil(() => countDialing(hole.port) > 0, 'an early dial')
    peer.write(Buffer.from('garbage'))
    await waitMetric(proxy, 'mtg_domain_fronting', {}, 1)
    await waitUntil(() => countDialing(hole.port) === 1, 'one dial for both')
    hole.open() // it echoes
    assert.equal(String(await peer.waitReceived(7)), 'garbage')
    peer.write(Buffer.from(' and more'))
    assert.equal(String(await peer.waitReceived(16)), 'garbage and more')
    peer.socket.end()
    await peer.waitOver()
    assert.equal(peer.errorCode, null)
  },
)

test('a user on a slow line is served; the site saw half a hello and a FIN', { timeout }, async (t) => {
  const world = await startWorld(t, {
    workers: 2,
    config: { network: { timeout: PATIENT }, tolerateTimeSkewnessMs: 60_000 },
  })
  const { proxy, site, secret } = world
  const { key, host } = parseClientSecret(secret)
  const hello = buildClientHello({ key, host })
  const socket = await connectRaw({ port: proxy.port })
  socket.write(hello.bytes.subarray(0, 300))
  const visitor = await site.nextConnection()
  await visitor.waitReceived(300)
  socket.write(hello.bytes.subarray(300))
  const client = new FakeTlsClient(socket, 2878)
  await client.completeHandshake(key, hello, 2, Buffer.from('at last'))
  assert.equal(String(await client.read(7)), 'at last')
  await visitor.waitClosed()
  assert.equal(visitor.received.length, 300)
  assert.ok(visitor.ended, 'no reset')
  await waitMetric(proxy, 'mtg_domain_fronting', {}, 0)
  client.destroy()
  // A place that the site was visited from is given back.
  await waitMetric(proxy, 'mtg_client_connections', {}, 0)
})

test('half a hello that turns out to name another host goes there as a whole', { timeout }, async (t) => {
  const first = await startRecordingSite({ host: '127.0.0.1' })
  t.after(() => first.close())
  const second = await startRecordingSite({ host: '127.0.0.2', port: first.port })
  t.after(() => second.close())
  const users = { alice: makeSecret(1, '127.0.0.1'), bob: makeSecret(2, '127.0.0.2') }
  const domainFronting = { host: null, port: first.port, maxConnections: 1 }
  const config = { domainFronting, network: { timeout: PATIENT } }
  const proxy = await startProxyIn(t, { users, dcs: {}, config })
  // Twice: with one place for all, the first visit must have given its own back.
  for (let n = 0; n < 2; n++) {
    const peer = await RawPeer.connect(proxy.port)
    const bytes = forged('127.0.0.2')
    peer.write(bytes.subarray(0, 200))
    const early = await first.nextConnection()
    await early.waitReceived(200)
    peer.write(bytes.subarray(200))
    const visitor = await second.nextConnection()
    assert.ok((await visitor.waitReceived(bytes.length)).equals(bytes))
    await early.waitClosed()
    peer.socket.destroy()
    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
  }
})

test('what comes while the site is dialled arrives in order', { timeout }, async (t) => {
  const hole = await startBlackHole(t)
  const { proxy } = await startWorld(t, { fronting: { host: '127.0.0.1', port: hole.port } })
  const bytes = Buffer.from(Array.from({ length: 400_000 }, (_, index) => (index * 17) & 255))
  const peer = await RawPeer.connect(proxy.port)
  peer.write(bytes.subarray(0, 10))
  await waitMetric(proxy, 'mtg_domain_fronting', {}, 1)
  peer.write(bytes.subarray(10, 100_000))
  peer.socket.end(bytes.subarray(100_000))
  hole.open() // it echoes
  assert.ok((await peer.waitReceived(bytes.length)).equals(bytes))
  await peer.waitOver()
  assert.equal(peer.errorCode, null)
})

test('a browser gets the page and the certificate of the site', { timeout }, async (t) => {
  const https = await startHttpsSite({ body: 'the real page' })
  t.after(() => https.close())
  const { proxy } = await startWorld(t, { workers: 2, fronting: { host: '127.0.0.1', port: https.port } })
  for (const path of ['/', '/again']) {
    const { body, fingerprint } = await getPage(proxy.port, path)
    assert.equal(body, 'the real page')
    assert.equal(fingerprint, new X509Certificate(FRONT_SITE_CERTIFICATE).fingerprint256)
  }
  assert.deepEqual(
    https.requests.map(({ path, serverName }) => [path, serverName]),
    [
      ['/', HOST],
      ['/again', HOST],
    ],
  )
})

function getPage(port: number, path: string): Promise<{ body: string; fingerprint: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path,
      servername: HOST,
      ca: FRONT_SITE_CERTIFICATE,
      agent: false,
    }
    const asked = request(options, (response) => {
      const { fingerprint256 } = (response.socket as TLSSocket).getPeerCertificate() // the request is HTTPS
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ body, fingerprint: fingerprint256 }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

test('the host that a prober names is the host he is fronted to', { timeout }, async (t) => {
  const first = await startRecordingSite({ host: '127.0.0.1' })
  t.after(() => first.close())
  const second = await startRecordingSite({ host: '127.0.0.2', port: first.port })
  t.after(() => second.close())
  const users = { alice: makeSecret(1, '127.0.0.1'), bob: makeSecret(2, '127.0.0.2') }
  const domainFronting = { host: null, port: first.port, maxConnections: 100 }
  const before = Math.floor(Date.now() / 1000) - 30
  const config = { domainFronting, tolerateTimeSkewnessMs: 60_000 }
  const proxy = await startProxyIn(t, { users, dcs: {}, config })
  const used = buildClientHello(parseClientSecret(users.bob))
  const user = await RawPeer.connect(proxy.port)
  user.write(used.bytes)
  await user.waitReceived(1) // the server flight
  user.socket.destroy()
  for (const [bytes, site] of [
    [forged('127.0.0.2'), second],
    [forged('127.0.0.1'), first],
    [forged('else.test'), first],
    [Buffer.from('garbage'), first],
    [buildClientHello({ ...parseClientSecret(users.bob), unixTime: 1 }).bytes, second],
    [buildClientHello({ ...parseClientSecret(users.bob), unixTime: before }).bytes, second],
    [buildClientHello({ ...parseClientSecret(users.bob), sni: null }).bytes, first],
    [buildClientHello({ ...parseClientSecret(users.bob), corrupt: 'extensions' }).bytes, first],
    [used.bytes, second],
    [used.bytes.subarray(0, 400), first],
  ] as const) {
    const peer = await RawPeer.connect(proxy.port)
    peer.write(bytes)
    const visitor = await site.nextConnection()
    assert.ok((await visitor.waitReceived(bytes.length)).equals(bytes))
    peer.socket.destroy()
  }
  for (const outcome of ['digest', 'stale-time', 'before-start', 'replay', 'sni-missing'])
    await waitMetric(proxy, 'mtg_handshakes', { outcome }, outcome === 'digest' ? 2 : 1)
})

test('a site that is down closes the client at once', { timeout }, async (t) => {
  const { proxy } = await startWorld(t, { fronting: { host: '127.0.0.1', port: await findFreePort() } })
  const peer = await RawPeer.connect(proxy.port)
  peer.write(Buffer.from('garbage'))
  await peer.waitOver()
  await waitMetric(proxy, 'mtg_client_connections', {}, 0)
  await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 0)
})

test('after a long silence a FIN begins a new limit: a late answer arrives', { timeout }, async (t) => {
  // The silence before the FIN and the one after it are longer than the limit together, and shorter each.
  const idleMs = 25_000 // less than a FIN lowers it to
  const pauseMs = 0.6 * idleMs
  const config = { network: { timeout: { ...SHORT, handshakeMs: 10_000, idleMs } } }
  const heard = Promise.withResolvers<Socket>()
  const site = createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume().on('end', () => heard.resolve(socket))
  })
  await once(site.listen(0, '127.0.0.1'), 'listening')
  t.after(() => site.close())
  const { port } = site.address() as AddressInfo // a TCP server has no other kind of address
  const fronting = { host: '127.0.0.1', port }
  const { proxy } = await startWorld(t, { fronting, config, workerEntry: FAULTY_SERVE })
  const faults = new Faults(proxy.port)
  t.after(() => faults.close())
  const peer = await RawPeer.connect(proxy.port)
  peer.write(Buffer.from('garbage'))
  await waitMetric(proxy, 'mtg_domain_fronting_traffic', { direction: 'from_client' }, 7)
  await faults.arm(0, { kind: 'skip-time', ms: pauseMs })
  peer.socket.end()
  const socket = await heard.promise
  await faults.arm(0, { kind: 'skip-time', ms: pauseMs })
  socket.end('late answer')
  assert.equal(String(await peer.waitReceived(11)), 'late answer')
})

test(
  'who never says a word is let go long before the idle limit, who says one is not',
  { timeout },
  async (t) => {
    const handshakeMs = 500
    const { proxy, site } = await startWorld(t, {
      workerEntry: new URL('hasty-worker.ts', import.meta.url).href,
      config: { network: { timeout: { ...SHORT, handshakeMs, idleMs: 24 * 3_600_000 } } },
    })
    const [silent, talking] = await Promise.all([RawPeer.connect(proxy.port), RawPeer.connect(proxy.port)])
    talking.write(Buffer.from('garbage'))
    await (await site.nextConnection()).waitReceived(0)
    const beganMs = performance.now()
    await silent.waitOver()
    assert.equal(silent.errorCode, null)
    const limitMs = handshakeMs + 60_000 / Number(HASTE)
    t.diagnostic(
      `closed ${Math.round(performance.now() - beganMs)} ms after it came, the limit is at ${limitMs} ms`,
    )
    assert.deepEqual([talking.hasEnded, talking.socket.closed], [false, false])
    await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 1)
    talking.socket.destroy()
  },
)

test('a bug of ours on the way to the site closes that connection and no other', { timeout }, async (t) => {
  const workerEntry = new URL('broken-guard-worker.ts', import.meta.url).href
  const world = await startWorld(t, { workerEntry })
  const user = await connectFakeTls({ port: world.proxy.port, secret: world.secret, dc: 2 })
  const peer = await RawPeer.connect(world.proxy.port)
  peer.write(Buffer.from('garbage'))
  await peer.waitOver()
  await waitMetric(world.proxy, 'mtg_client_connections', {}, 1)
  await waitMetric(world.proxy, 'mtg_domain_fronting_connections', {}, 0)
  user.write(Buffer.from('still here'))
  assert.equal(String(await user.read(10)), 'still here')
  const errors = world.proxy.logLines().filter((line) => line['level'] === 'error')
  assert.deepEqual(
    errors.map((line) => line['message']),
    ['a connection failed: please report this'],
  )
})

test('a site that resets is seen to reset', { timeout }, async (t) => {
  const { proxy, site } = await startWorld(t)
  const peer = await RawPeer.connect(proxy.port)
  peer.write(Buffer.from('garbage'))
  const visitor = await site.nextConnection()
  await visitor.waitReceived(7)
  visitor.socket.resetAndDestroy()
  await peer.waitOver()
  assert.equal(peer.errorCode, 'ECONNRESET')
  await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 0)
})

test('a site that is the proxy itself is not dialled', { timeout }, async (t) => {
  const cases = [
    ['127.0.0.1', 'localhost'],
    ['0.0.0.0', '127.0.0.9'],
    ['::', '127.0.0.1'],
  ] as const
  const assertGuarded = async ([bound, host]: (typeof cases)[number]): Promise<void> => {
    const port = await findFreePort()
    const bindTo = [{ host: bound, port }]
    const { proxy } = await startWorld(t, { fronting: { host, port }, config: { bindTo } })
    const peer = await RawPeer.connect(port)
    peer.write(Buffer.from('garbage'))
    await peer.waitOver()
    await waitMetric(proxy, 'mtg_domain_fronting', {}, 1)
    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
    assert.equal(readMetric(await proxy.metrics(), 'mtg_handshakes'), 1, `${bound} seen as ${host}`)
    await proxy.running.kill()
  }
  for (const one of cases) await assertGuarded(one)
})

test('as many are fronted as configured, over both workers, and not one more', { timeout }, async (t) => {
  const site = await startRecordingSite({ reply: Buffer.from('welcome') })
  t.after(() => site.close())
  const domainFronting = { host: '127.0.0.1', port: site.port, maxConnections: 7 }
  const { proxy } = await startWorld(t, { workers: 2, config: { domainFronting } })
  const peers = await Promise.all(Array.from({ length: 30 }, () => RawPeer.connect(proxy.port)))
  for (const peer of peers) peer.write(Buffer.from('garbage'))
  const welcomed = await Promise.all(peers.map((peer) => isWelcome(peer)))
  assert.equal(welcomed.filter(Boolean).length, 7)
  assert.equal(site.connections.length, 7)
  await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 7)

  for (const peer of peers) peer.socket.destroy()
  await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 0)
  const next = await RawPeer.connect(proxy.port)
  next.write(Buffer.from('garbage'))
  assert.ok(await isWelcome(next), 'a place that was given back')
  next.socket.destroy()
})

async function isWelcome(peer: RawPeer): Promise<boolean> {
  return peer.waitReceived(7).then(
    () => true,
    () => false,
  )
}

test('a recorded hello shows the site, whichever worker it meets', { timeout }, async (t) => {
  const { proxy, site, secret } = await startWorld(t, { workers: 2 })
  const hello = buildClientHello(parseClientSecret(secret))
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2, hello })
  // With all of them open both workers get some.
  const peers: RawPeer[] = []
  for (let n = 0; n < 6; n++) {
    const peer = await RawPeer.connect(proxy.port)
    peer.write(hello.bytes)
    const visitor = await site.nextConnection()
    assert.ok((await visitor.waitReceived(hello.bytes.length)).equals(hello.bytes))
    peers.push(peer)
  }
  client.write(Buffer.from('still here'))
  assert.equal((await client.read(10)).toString(), 'still here')
  await waitMetric(proxy, 'mtg_replay_attacks', {}, 6)
  for (const peer of peers) peer.socket.destroy()
  client.destroy()
})
