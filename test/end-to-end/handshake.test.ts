import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { buildClientHello, splitIntoRecords } from '../support/client-hello.ts'
import {
  buildClientFrame,
  buildRecords,
  connectFakeTls,
  FakeTlsClient,
  connectRaw,
  parseClientSecret,
  sendRaw,
  type FakeTlsOptions,
} from '../support/faketls-client.ts'
import type { SiteConnection } from '../support/front-site.ts'
import { CHANGE_CIPHER_SPEC, buildFrameOfType, decodeRecords, greetProxy, RawPeer } from './raw-peer.ts'
import { HOST, makeSecret, runInBatches, startWorld, waitMetric, waitUntil, type World } from './world.ts'

const timeout = 30_000
const HELLO_BYTES = 517

const now = (): number => Math.floor(Date.now() / 1000)

/** A whole session: handshake, and bytes to the data centre and back. */
async function assertServed(world: World, options: Partial<FakeTlsOptions> = {}): Promise<void> {
  const client = await connectFakeTls({ port: world.proxy.port, secret: world.secret, dc: 2, ...options })
  client.write(Buffer.from('are you there?'))
  assert.equal((await client.read(14)).toString(), 'are you there?')
  client.destroy()
}

/** The site gets every byte, and the client gets nothing but the site's answer, which is silence. */
async function assertFronted({ proxy, site }: World, bytes: Buffer): Promise<void> {
  const peer = await RawPeer.connect(proxy.port)
  peer.write(bytes)
  // Who was slow before him may have been there, too, with half a hello.
  const find = (): SiteConnection | undefined =>
    site.connections.find(({ received }) => received.equals(bytes))
  await waitUntil(() => find() !== undefined, 'every byte at the site')
  const visitor = find()!
  assert.equal(peer.received.length, 0)
  peer.socket.destroy()
  await visitor.waitClosed()
}

function buildHello(secret: string, options: Partial<Parameters<typeof buildClientHello>[0]> = {}): Buffer {
  return buildClientHello({ ...parseClientSecret(secret), ...options }).bytes
}

test('a hello may be cut anywhere between two packets', { timeout }, async (t) => {
  // 516 clients take their time on a busy machine: neither the deadline nor their clocks are the matter here.
  const patient = { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 60_000 }
  const config = { tolerateTimeSkewnessMs: 60_000, network: { timeout: patient } }
  const world = await startWorld(t, { workers: 2, config })
  const { key, host } = parseClientSecret(world.secret)
  const begun = Array.from({ length: HELLO_BYTES - 1 }, async (_, index) => {
    const hello = buildClientHello({ key, host })
    const socket = await connectRaw({ port: world.proxy.port })
    socket.write(hello.bytes.subarray(0, index + 1))
    return { client: new FakeTlsClient(socket, 2878), hello, cut: index + 1 }
  })
  const halves = await Promise.all(begun)
  // By the time the gauge is published the threads have read the first parts.
  await waitMetric(world.proxy, 'mtg_client_connections', {}, HELLO_BYTES - 1)
  await runInBatches(halves, 32, async ({ client, hello, cut }) => {
    client.socket.write(hello.bytes.subarray(cut))
    await client.completeHandshake(key, hello, 2, Buffer.from('first'))
    assert.equal((await client.read(5)).toString(), 'first', `cut at ${cut}`)
    client.destroy()
  })
})

test('a hello may come byte by byte', { timeout }, async (t) => {
  const world = await startWorld(t)
  await assertServed(world, { splitHello: 'bytes' })
})

test('a hello may come in 1 to 11 TLS records, cut anywhere and across packets', { timeout }, async (t) => {
  const world = await startWorld(t)
  const eleven = [1, 2, 3, 4, 5, 38, 70, 200, 300, 511]
  for (const helloRecordCuts of [[], [1], [3], [256], [2, 4], [170, 341], eleven, eleven.map(() => 4)]) {
    await assertServed(world, { helloRecordCuts })
    await assertServed(world, { helloRecordCuts, splitHello: [2, 7, 100] })
  }
  const twelve = splitIntoRecords(buildHello(world.secret), eleven.toSpliced(-1, 0, 400))
  await assertFronted(world, twelve)
})

test('hellos of other sizes and other spellings of the host are accepted', { timeout }, async (t) => {
  const world = await startWorld(t)
  for (const helloSize of [0, 600, 1800, 4000, 16_000]) await assertServed(world, { helloSize })
  for (const sni of ['FRONT.test', 'front.test.', 'Front.Test.', ['other.test', HOST]])
    await assertServed(world, { sni })
})

test('a key opens the door of its own host alone', { timeout }, async (t) => {
  const secrets = { alice: makeSecret(1, 'a.test'), bob: makeSecret(2, 'b.test') }
  const world = { ...(await startWorld(t, { users: secrets })), secret: secrets.alice }
  await assertServed(world)
  await assertServed(world, { secret: secrets.bob })
  await assertFronted(world, buildHello(secrets.alice, { sni: 'b.test' }))
  await assertFronted(world, buildHello(secrets.bob, { sni: 'a.test' }))
})

test('each of 700 users on one host is served and booked as himself', { timeout }, async (t) => {
  const users = Object.fromEntries(
    Array.from({ length: 700 }, (_, n) => [`user${String(n).padStart(3, '0')}`, makeSecret(n)]),
  )
  const world = await startWorld(t, { workers: 2, users })
  const chosen = Object.entries(users).filter((_, n) => n % 7 === 0 || n === 699)
  await runInBatches(chosen, 8, async ([name, secret]) => {
    const client = await connectFakeTls({ port: world.proxy.port, secret, dc: 2 })
    const bytes = Number(name.slice(4)) + 1
    client.write(Buffer.alloc(bytes, 7))
    await client.read(bytes)
    client.destroy()
  })
  const stats = await world.proxy.statsWhen(({ total_connections }) => total_connections === 0)
  const served = new Map(Object.entries(stats.users).filter(([, user]) => user.bytes_in > 0))
  assert.deepEqual(
    [...served].map(([name, user]) => [name, user.bytes_in, user.bytes_out]),
    chosen.map(([name]) => [name, Number(name.slice(4)) + 1, Number(name.slice(4)) + 1]),
  )
})

test(
  'a client need not send ChangeCipherSpec, nor wait for the answer to its hello',
  { timeout },
  async (t) => {
    const world = await startWorld(t)
    for (const prefix of [Buffer.alloc(0), CHANGE_CIPHER_SPEC]) {
      const { key, host } = parseClientSecret(world.secret)
      const frame = buildClientFrame(key, 2)
      const peer = await RawPeer.connect(world.proxy.port)
      const records = buildRecords(Buffer.concat([frame.frame, frame.up.update('hasty')]), 2878)
      peer.write(Buffer.concat([buildClientHello({ key, host }).bytes, prefix, records]))
      const echo = await waitEcho(peer, 0, frame.down, 5)
      assert.equal(echo.toString(), 'hasty')
      peer.socket.destroy()
    }
  },
)

/** Skips the flight: everything before the first application-data record that follows its three. */
async function waitEcho(
  peer: RawPeer,
  flightBytes: number,
  down: ReturnType<typeof buildClientFrame>['down'],
  bytes: number,
): Promise<Buffer> {
  let from = flightBytes
  if (from === 0) {
    for (let record = 0; record < 3; record++) {
      const header = (await peer.waitReceived(from + 5)).subarray(from)
      from += 5 + header.readUInt16BE(3)
    }
  }
  await peer.waitReceived(from + 5 + bytes)
  return decodeRecords(peer.received, from, down)
}

test('the 64-byte frame may be cut into records and packets as one likes', { timeout }, async (t) => {
  const world = await startWorld(t)
  for (const recordPayloadBytes of [1, 7, 63, 64, 65]) await assertServed(world, { recordPayloadBytes })
  for (const [recordPayloadBytes, cuts] of [
    [64, 'bytes'],
    [1, 'bytes'],
    [17, [5, 6, 9, 22, 23, 24, 60]],
  ] as const) {
    const { peer, key, flightBytes } = await greetProxy(world.proxy.port, world.secret)
    const { frame, up, down } = buildClientFrame(key, 2)
    const records = buildRecords(Buffer.concat([frame, up.update('piecemeal')]), recordPayloadBytes)
    await sendRaw(peer.socket, Buffer.concat([CHANGE_CIPHER_SPEC, records]), cuts)
    const echo = await waitEcho(peer, flightBytes, down, 9)
    // The data centre may have got it in pieces, and echoed as many records.
    await waitUntil(() => peer.received.length > 0, 'an answer')
    assert.ok('piecemeal'.startsWith(echo.toString()) && echo.length > 0, `records of ${recordPayloadBytes}`)
    peer.socket.destroy()
  }
})

test(
  'a frame of another transport, or one that never comes, closes the connection',
  { timeout },
  async (t) => {
    const timeouts = { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 60_000 }
    const patient = await startWorld(t, { config: { network: { timeout: timeouts } } })
    for (const tag of [0xef, 0xee, 0x00]) {
      const { peer, key, flightBytes } = await greetProxy(patient.proxy.port, patient.secret)
      const { frame } = buildFrameOfType(key, 2, tag)
      peer.write(buildRecords(frame, 64))
      await peer.waitOver()
      assert.equal(peer.received.length, flightBytes, 'nothing follows the flight')
      peer.socket.destroy()
    }
    await waitMetric(patient.proxy, 'mtg_handshakes', { outcome: 'obfuscated2' }, 3)
    // Silence after the flight: it has exactly three records, and the end comes by the deadline.
    const hurried = { ...timeouts, handshakeMs: 2000 }
    const world = await startWorld(t, { config: { network: { timeout: hurried } } })
    const { peer, flightBytes } = await greetProxy(world.proxy.port, world.secret)
    await peer.waitOver()
    assert.equal(peer.received.length, flightBytes)
    assert.equal(world.site.connections.length, 0, 'it is too late for fronting')
    await waitMetric(world.proxy, 'mtg_handshakes', { outcome: 'deadline' }, 1)
  },
)

test(
  'a broken record in place of the frame closes the connection before the deadline',
  { timeout },
  async (t) => {
    const timeouts = { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 60_000 }
    const world = await startWorld(t, { config: { network: { timeout: timeouts } } })
    for (const broken of ['1703010040', '1703034101', '15030300020228', '15030300020100']) {
      const { peer } = await greetProxy(world.proxy.port, world.secret)
      peer.write(Buffer.from(broken, 'hex'))
      await peer.waitOver()
      peer.socket.destroy()
    }
  },
)

test('clocks may differ by the tolerance and no more', { timeout }, async (t) => {
  const world = await startWorld(t, {
    config: {
      tolerateTimeSkewnessMs: 60_000,
      defense: { antiReplay: { enabled: false, maxSizeBytes: 0 } },
    },
  })
  // To the second it is test/worker/fake-tls/key-ring.test.ts: here some pass until a hello is looked at.
  await assertServed(world, { unixTime: now() - 50 })
  await assertServed(world, { unixTime: now() + 58 })
  await assertFronted(world, buildHello(world.secret, { unixTime: now() - 62 }))
  await assertFronted(world, buildHello(world.secret, { unixTime: now() + 72 }))
  await waitMetric(world.proxy, 'mtg_handshakes', { outcome: 'stale-time' }, 2)
})

test(
  'a hello from before the start of the proxy could be a replay and is fronted',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { config: { tolerateTimeSkewnessMs: 60_000 } })
    const started = Date.parse((await world.proxy.stats()).started_at) / 1000
    await assertServed(world, { unixTime: started - 1 })
    await assertFronted(world, buildHello(world.secret, { unixTime: started - 2 }))
    await waitMetric(world.proxy, 'mtg_handshakes', { outcome: 'before-start' }, 1)

    const trusting = await startWorld(t, {
      config: {
        tolerateTimeSkewnessMs: 60_000,
        defense: { antiReplay: { enabled: false, maxSizeBytes: 0 } },
      },
    })
    await assertServed(trusting, { unixTime: now() - 3 })
  },
)

test('clients behind one address are told apart', { timeout }, async (t: TestContext) => {
  const users = { alice: makeSecret(1), bob: makeSecret(2) }
  const world = await startWorld(t, { users, workers: 2 })
  // Taking turns makes the hint "who came last from this network" wrong every time.
  for (let round = 0; round < 4; round++) {
    await assertServed(world, { secret: users.alice })
    await assertServed(world, { secret: users.bob })
  }
  const stats = await world.proxy.statsWhen(({ total_connections }) => total_connections === 0)
  assert.deepEqual([stats.users['alice']?.bytes_in, stats.users['bob']?.bytes_in], [56, 56])
})
