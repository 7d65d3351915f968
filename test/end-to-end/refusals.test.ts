import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { IpListConfig } from '#shared/config'
import { buildClientHello } from '../support/client-hello.ts'
import {
  buildClientFrame,
  buildRecords,
  connectFakeTls,
  parseClientSecret,
} from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { greetProxy, RawPeer } from './raw-peer.ts'
import { makeSecret, startWorld, waitMetric, type WorldOptions } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

/**
 * Who is refused sees a bare FIN, and nothing that tells why: not when the kernel holds bytes of his that nobody read,
 * which would make it send a reset, nor when he talks on.
 */

const timeout = 30_000
const SECRET = makeSecret(1)
const GARBAGE = Buffer.from('GET / HTTP/1.1\r\nHost: front.test\r\n\r\n')

const signHello = (): Buffer => buildClientHello(parseClientSecret(SECRET)).bytes

/** What somebody sees who sends these packets, one behind the other, and talks on after the FIN. */
async function assertBareFin(port: number, packets: readonly Buffer[], name: string): Promise<void> {
  const peer = await RawPeer.connect(port)
  for (const packet of packets)
    await new Promise<void>((resolve) => peer.socket.write(packet, () => resolve()))
  await assertEndsBare(peer, 0, name)
}

async function assertEndsBare(peer: RawPeer, received: number, name: string): Promise<void> {
  await peer.waitOver()
  assert.equal(peer.errorCode, null, name)
  assert.equal(peer.received.length, received, name)
  await new Promise<void>((resolve) => peer.socket.write('is anybody there?', () => resolve()))
  peer.socket.end()
  await new Promise<void>((resolve) => peer.socket.once('close', () => resolve()))
  assert.equal(peer.errorCode, null, name)
}

const REFUSALS: readonly [name: string, options: () => Promise<WorldOptions>, packets: () => Buffer[]][] = [
  [
    'a stranger, when the site is down',
    async () => ({ fronting: { host: '127.0.0.1', port: await findFreePort() } }),
    () => [GARBAGE, GARBAGE],
  ],
  [
    'a stranger, when the site has no address',
    async () => ({ fronting: { host: 'no-such-site.invalid', port: 443 } }),
    () => [GARBAGE, GARBAGE],
  ],
  [
    'a stranger, when nobody is to be fronted',
    async () => ({ config: { domainFronting: { maxConnections: 0 } } }),
    () => [GARBAGE, GARBAGE],
  ],
]

for (const [name, options, packets] of REFUSALS) {
  test(`${name} gets a FIN and no reset`, { timeout }, async (t) => {
    const { proxy, site } = await startWorld(t, { workers: 2, ...(await options()) })
    for (let n = 0; n < 8; n++) await assertBareFin(proxy.port, packets(), name)
    assert.equal(site.connections.length, 0)
    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
  })
}

test('a user who is throttled gets a FIN and no reset', { timeout }, async (t) => {
  const { proxy, site, secret } = await startWorld(t, { config: { throttle: { maxConnections: 1 } } })
  const inside = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  for (let n = 0; n < 8; n++)
    await assertBareFin(proxy.port, [signHello(), Buffer.alloc(3000, 1)], 'throttled')
  assert.equal(site.connections.length, 0)
  await waitMetric(proxy, 'mtg_handshakes', { outcome: 'refused' }, 8)
  inside.destroy()
})

test(
  'before a user is refused his hello has to be of his key, of now, and new (decision W4)',
  { timeout },
  async (t) => {
    const { proxy, site, secret } = await startWorld(t, { config: { throttle: { maxConnections: 1 } } })
    const used = buildClientHello(parseClientSecret(SECRET))
    const inside = await connectFakeTls({ port: proxy.port, secret, dc: 2, hello: used })
    await assertBareFin(proxy.port, [signHello()], 'throttled')
    const strangers = {
      digest: buildClientHello({ ...parseClientSecret(SECRET), key: Buffer.alloc(16, 9) }).bytes,
      'stale-time': buildClientHello({ ...parseClientSecret(SECRET), unixTime: 1 }).bytes,
      replay: used.bytes,
    }
    for (const [outcome, bytes] of Object.entries(strangers)) {
      const peer = await RawPeer.connect(proxy.port)
      peer.write(bytes)
      assert.ok((await (await site.nextConnection()).waitReceived(bytes.length)).equals(bytes), outcome)
      await waitMetric(proxy, 'mtg_handshakes', { outcome }, 1)
      assert.equal((await proxy.stats()).total_connections, 1)
      peer.socket.destroy()
    }
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'refused' }, 1)
    inside.destroy()
    // Nor does a replay take the place that is free now.
    await proxy.statsWhen(({ total_connections }) => total_connections === 0)
    const peer = await RawPeer.connect(proxy.port)
    peer.write(used.bytes)
    await (await site.nextConnection()).waitReceived(used.bytes.length)
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'replay' }, 2)
    assert.equal((await proxy.stats()).total_connections, 0)
    peer.socket.destroy()
  },
)

test('who is on the blocklist gets a FIN and no reset', { timeout }, async (t) => {
  const folder = makeDirectory(t)
  const path = join(folder, 'list')
  writeFileSync(path, '127.0.0.0/8')
  const list = { enabled: true, downloadConcurrency: 1, updateEachMs: 86_400_000, action: 'close' } as const
  const blocklist: IpListConfig = { ...list, sources: [{ kind: 'file', path }] }
  for (const reusePort of [false, true]) {
    const { proxy } = await startWorld(t, { workers: 2, config: { defense: { blocklist }, reusePort } })
    await waitMetric(proxy, 'mtg_iplist_size', { ip_list: 'blocklist' }, 1)
    for (const packets of [[], [signHello()], [GARBAGE, Buffer.alloc(20_000)]]) {
      for (let n = 0; n < 4; n++) await assertBareFin(proxy.port, packets, `${packets.length} packets`)
    }
    await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 12)
  }
})

test(
  'above the limit of connections everybody gets a FIN and no reset, said or not',
  { timeout },
  async (t) => {
    await assertAboveLimit(t, false)
    await assertAboveLimit(t, true) // every thread accepts and refuses for itself
  },
)

async function assertAboveLimit(t: TestContext, reusePort: boolean): Promise<void> {
  const { proxy } = await startWorld(t, { workers: 2, config: { concurrency: 1, reusePort } })
  const inside = await RawPeer.connect(proxy.port)
  await waitMetric(proxy, 'mtg_client_connections', {}, 1)
  for (const packets of [[], [signHello()], [GARBAGE, Buffer.alloc(20_000)]]) {
    for (let n = 0; n < 4; n++) await assertBareFin(proxy.port, packets, `${packets.length} packets`)
  }
  await waitMetric(proxy, 'mtg_concurrency_limited', {}, 12)
  inside.socket.destroy()
}

test('a flood above the limit is let go in order, and none of its sockets stays', { timeout }, async (t) => {
  const { proxy } = await startWorld(t, { config: { concurrency: 1 } })
  const inside = await RawPeer.connect(proxy.port)
  await waitMetric(proxy, 'mtg_client_connections', {}, 1)
  const peers = await Promise.all(Array.from({ length: 600 }, () => RawPeer.connect(proxy.port)))
  for (const peer of peers) peer.write(signHello()) // and they do not leave by themselves
  await Promise.all(peers.map((peer) => peer.waitOver()))
  for (const peer of peers) peer.socket.destroy()
  await waitMetric(proxy, 'mtg_concurrency_limited', {}, 600)
  inside.socket.destroy()
})

test('a user whose data centre cannot be reached gets his flight and a FIN', { timeout }, async (t) => {
  const { proxy, secret } = await startWorld(t, {
    dcs: { 2: [{ host: '127.0.0.1', port: await findFreePort() }] },
  })
  for (let n = 0; n < 4; n++) {
    const { peer, key, flightBytes } = await greetProxy(proxy.port, secret)
    const { frame, up } = buildClientFrame(key, 2)
    peer.write(buildRecords(Buffer.concat([frame, up.update(Buffer.alloc(60_000))]), 2878))
    await assertEndsBare(peer, flightBytes, 'no data centre')
  }
})

test('a user who is removed gets a FIN', { timeout }, async (t) => {
  const users = { alice: makeSecret(1), bob: makeSecret(2) }
  const { proxy } = await startWorld(t, { users })
  const { peer, flightBytes } = await greetProxy(proxy.port, users.bob)
  await waitMetric(proxy, 'mtg_client_connections', {}, 1)
  await proxy.running.reload({ ...proxy.config, users: proxy.config.users.slice(0, 1) })
  await assertEndsBare(peer, flightBytes, 'removed')
})
