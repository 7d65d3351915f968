import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { IpListConfig, RefuseAction } from '#shared/config'
import { buildClientHello } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret, type FakeTlsOptions } from '../support/faketls-client.ts'
import { encodeV1, encodeV2 } from '../support/proxy-header.ts'
import { RawPeer } from './raw-peer.ts'
import { startWorld, waitMetric, type World } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

/** IP lists where the primary does not know the client's address, or does not accept it. */

const timeout = 30_000

function listOf(t: TestContext, networks: string, action: RefuseAction = 'close'): IpListConfig {
  const folder = makeDirectory(t)
  const path = join(folder, 'list')
  writeFileSync(path, networks)
  return {
    enabled: true,
    sources: [{ kind: 'file', path }],
    downloadConcurrency: 2,
    updateEachMs: 86_400_000,
    action,
  }
}

async function assertServed({ proxy, secret }: World, options: Partial<FakeTlsOptions>): Promise<void> {
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2, ...options })
  client.write(Buffer.from('hello'))
  assert.equal((await client.read(5)).toString(), 'hello')
  client.destroy()
}

async function assertClosed({ proxy, site }: World, bytes: Uint8Array, localAddress?: string): Promise<void> {
  await assert.rejects(
    connectFakeTls({
      port: proxy.port,
      secret: `ee${'00'.repeat(16)}61`,
      dc: 2,
      preamble: bytes,
      ...(localAddress === undefined ? {} : { localAddress }),
    }),
  )
  assert.equal(site.connections.length, 0)
}

for (const reusePort of [false, true]) {
  test(
    `behind a balancer the lists are asked about the client, reuse-port ${reusePort}`,
    { timeout },
    async (t) => {
      const world = await startWorld(t, {
        workers: 2,
        config: {
          reusePort,
          proxyProtocolListener: true,
          defense: {
            allowlist: listOf(t, '203.0.113.0/24\n2001:db8::/32\n'), // not the balancer, 127.0.0.1
            blocklist: listOf(t, '203.0.113.66'),
          },
        },
      })
      const { proxy } = world
      await assertServed(world, { preamble: encodeV1('203.0.113.7', 1) })
      await assertServed(world, { preamble: encodeV1('2001:db8::7', 1) })
      await assertClosed(world, encodeV1('203.0.113.66', 1))
      await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 1)
      await assertClosed(world, encodeV1('198.51.100.1', 1))
      // The balancer's own connections are asked about by its own address.
      await assertClosed(world, encodeV2({ command: 0x20, family: 0, addresses: Buffer.alloc(0) }))
      await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'allowlist' }, 2)
      const refused = proxy.logLines().filter(({ message }) => message === 'ip was blacklisted')
      assert.deepEqual(
        refused.map(({ ip }) => ip),
        ['203.0.113.66'],
      )
      await waitMetric(proxy, 'mtg_client_connections', {}, 0)
    },
  )
}

test('whom a list fronts behind a balancer sees the site without the header', { timeout }, async (t) => {
  const world = await startWorld(t, {
    config: { proxyProtocolListener: true, defense: { blocklist: listOf(t, '203.0.113.66', 'front') } },
  })
  const hello = buildClientHello(parseClientSecret(world.secret)).bytes
  const peer = await RawPeer.connect(world.proxy.port)
  peer.write(Buffer.concat([encodeV1('203.0.113.66', 1), hello]))
  const visitor = await world.site.nextConnection()
  assert.deepEqual(await visitor.waitReceived(hello.length), hello)
  peer.socket.destroy()
  await assertServed(world, { preamble: encodeV1('203.0.113.7', 1) })
})

test('threads that accept by themselves ask the lists too, and before any limit', { timeout }, async (t) => {
  const world = await startWorld(t, {
    workers: 2,
    config: { reusePort: true, concurrency: 1, defense: { blocklist: listOf(t, '127.0.0.66') } },
  })
  for (let n = 0; n < 5; n++) await assertClosed(world, Buffer.alloc(0), '127.0.0.66')
  await waitMetric(world.proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 5)
  await waitMetric(world.proxy, 'mtg_concurrency_limited', {}, 0)
  await assertServed(world, {})
})
