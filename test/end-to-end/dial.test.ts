import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { countDialing, listDialing, startBlackHole } from './black-hole.ts'
import { makeSecret, readMetric, startProxyIn, startWorld, waitMetric, waitUntil } from './world.ts'
import { findFreePort } from '../support/free-port.ts'

const timeout = 30_000
const TIMEOUTS = { tcpMs: 60_000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 10_000 }
const at = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port })

/** The proxy's FIN, or its RST. */
async function waitOver(client: FakeTlsClient): Promise<void> {
  await client.ended.catch(() => {})
  client.destroy()
}

for (const fastMode of [true, false]) {
  test(
    `the data centre is asked for as the client signed it, fast mode ${fastMode}`,
    { timeout },
    async (t) => {
      const { proxy, dc, secret } = await startWorld(t, { fastMode })
      for (const [asked, got] of [
        [2, 2],
        [-2, -2],
        [0, 2],
      ] as const) {
        const client = await connectFakeTls({ port: proxy.port, secret, dc: asked })
        const connection = await dc.nextConnection()
        assert.equal(connection.dc, got)
        assert.deepEqual(connection.transport, Buffer.alloc(4, 0xdd))
        client.destroy()
      }
    },
  )
}

test('an unknown data centre closes the connection', { timeout }, async (t) => {
  const { proxy, dc, secret } = await startWorld(t)
  for (const asked of [7, -7, 10_002, -32_768, 32_767]) {
    const client = await connectFakeTls({ port: proxy.port, secret, dc: asked })
    await waitOver(client)
  }
  assert.equal(dc.connections.length, 0)
  await waitMetric(proxy, 'mtg_dc_dial_failures', {}, 5)
})

test('an unknown data centre becomes DC 2 where that is allowed', { timeout }, async (t) => {
  const { proxy, dc, secret } = await startWorld(t, { config: { allowFallbackOnUnknownDc: true } })
  for (const asked of [7, -7, -32_768]) {
    const client = await connectFakeTls({ port: proxy.port, secret, dc: asked })
    client.write(Buffer.from('fallback'))
    assert.equal((await client.read(8)).toString(), 'fallback')
    assert.equal((await dc.nextConnection()).dc, 2)
    client.destroy()
  }
})

test('a data centre that is down closes the connection at once', { timeout }, async (t) => {
  const down = at(await findFreePort())
  const { proxy, secret } = await startWorld(t, {
    dcs: { 2: [down, down] },
    config: { network: { timeout: TIMEOUTS } },
  })
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  await waitOver(client)
  await proxy.statsWhen(({ total_connections }) => total_connections === 0)
  await waitMetric(proxy, 'mtg_dc_dial_failures', {}, 1)
})

test('a data centre is reached at whichever of its addresses answers', { timeout }, async (t) => {
  const hole = await startBlackHole(t)
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  for (const dead of [await findFreePort(), hole.port]) {
    const proxy = await startProxyIn(t, {
      users: { alice: makeSecret(1) },
      dcs: { 2: [at(dead), at(dc.port)] },
      config: { network: { timeout: TIMEOUTS } },
    })
    // Addresses take turns at being the first.
    for (let round = 0; round < 3; round++) {
      const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: 2 })
      client.write(Buffer.from('second'))
      assert.equal((await client.read(6)).toString(), 'second')
      client.destroy()
    }
    assert.equal(countDialing(hole.port), 0, 'the dial that lost is given up')
  }
})

test('a client that leaves while its data centre is dialled takes the dial along', { timeout }, async (t) => {
  const hole = await startBlackHole(t)
  const { proxy, secret } = await startWorld(t, {
    dcs: { 2: [at(hole.port)] },
    config: { network: { timeout: TIMEOUTS } },
  })
  for (const leave of ['FIN', 'RST'] as const) {
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    await waitUntil(() => countDialing(hole.port) === 1, 'a dial')
    if (leave === 'FIN') client.end()
    else client.socket.resetAndDestroy()
    await proxy.statsWhen(({ total_connections }) => total_connections === 0)
    await waitUntil(() => countDialing(hole.port) === 0, `the end of the dial by ${leave}`)
    client.destroy()
  }
  await waitMetric(proxy, 'mtg_dc_dial_failures', {}, 0)
})

test('what a client sends while its data centre is dialled arrives in order', { timeout }, async (t) => {
  const hole = await startBlackHole(t)
  const echo = await startStreamDc({ mode: 'echo' })
  t.after(() => echo.close())
  const { proxy, secret } = await startWorld(t, {
    dcs: { 2: [at(hole.port), at(echo.port)] },
    config: { network: { timeout: TIMEOUTS } },
  })
  // More than the proxy keeps of a client that waits: it has to hold the rest back, and to go on afterwards.
  const early = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) & 255))
  // Addresses take turns: of two connections one meets the hole first.
  for (let round = 0; round < 2; round++) {
    const client = await connectFakeTls({
      port: proxy.port,
      secret,
      dc: 2,
      firstPayload: early.subarray(0, 50),
    })
    client.write(early.subarray(50))
    assert.ok((await client.read(early.length)).equals(early))
    client.destroy()
  }
})

/** Tells which thread serves: connections go to the least loaded, so those that are held spread over all of them. */
const THREADS = 3

test(
  'an address that swallows everything delays one connection by one stagger, and none afterwards in any thread',
  { timeout },
  async (t) => {
    const hole = await startBlackHole(t)
    const dc = await startStreamDc({ mode: 'echo' })
    t.after(() => dc.close())
    const proxy = await startProxyIn(t, {
      users: { alice: makeSecret(1) },
      // The hole comes first by its family.
      dcs: { 2: [{ host: '::ffff:127.0.0.1', port: hole.port }, at(dc.port)] },
      workers: THREADS,
      config: { network: { timeout: TIMEOUTS }, preferIp: 'prefer-ipv6' },
    })
    // Every one stands there for a stagger, twelve looks long. How long a dial took would say less: a busy machine adds to it.
    const swallowed = new Set<string>()
    const watch = setInterval(() => listDialing(hole.port).forEach((dial) => swallowed.add(dial)), 20)
    t.after(() => clearInterval(watch))
    const held: FakeTlsClient[] = []
    for (let n = 0; n < 2 * THREADS; n++) {
      const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: 2 })
      t.after(() => client.destroy())
      client.write(Buffer.from('through'))
      assert.equal(String(await client.read(7)), 'through')
      held.push(client)
    }
    assert.equal(countDialing(hole.port), 0)
    const metrics = await proxy.metrics()
    const ofDials = (le: string): number =>
      readMetric(metrics, 'mtg_dc_dial_seconds_bucket', { outcome: 'ok', le })
    assert.equal(ofDials('+Inf'), 2 * THREADS)
    const sum = readMetric(metrics, 'mtg_dc_dial_seconds_sum', { outcome: 'ok' })
    // What only a stagger takes: all other dials together are loopback's.
    assert.ok(sum >= 0.15, `${sum} s: nobody met the hole`)
    t.diagnostic(`${2 * THREADS} dials took ${Math.round(sum * 1000)} ms together, one stagger is 250`)
    assert.ok(swallowed.size <= 1, `${[...swallowed].join()}: more than one met the hole`)
  },
)
