import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { RawPeer } from './raw-peer.ts'
import { startWorld, waitMetric, waitUntil, type World } from './world.ts'

const timeout = 30_000

async function openSession({ proxy, secret }: World): Promise<FakeTlsClient> {
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  client.write(Buffer.from('hello'))
  assert.equal((await client.read(5)).toString(), 'hello')
  return client
}

test(
  'the newest connection over the limit is refused and counted; those inside go on',
  { timeout },
  async (t) => {
    const LIMIT = 6
    const world = await startWorld(t, { workers: 2, config: { concurrency: LIMIT } })
    const silent = await RawPeer.connect(world.proxy.port)
    const clients: FakeTlsClient[] = []
    for (let n = 0; n < LIMIT - 1; n++) clients.push(await openSession(world))
    for (let n = 0; n < 3; n++) {
      const refused = await RawPeer.connect(world.proxy.port)
      await refused.waitOver()
      assert.equal(refused.received.length, 0)
      refused.socket.destroy()
    }
    await waitMetric(world.proxy, 'mtg_concurrency_limited', {}, 3)
    await waitMetric(world.proxy, 'mtg_client_connections', {}, LIMIT)
    for (const client of clients) {
      client.write(Buffer.from('still'))
      assert.equal((await client.read(5)).toString(), 'still')
    }
    // Whoever leaves makes room, those who never said a word too.
    silent.socket.resetAndDestroy()
    clients.pop()?.socket.resetAndDestroy()
    await waitMetric(world.proxy, 'mtg_client_connections', {}, LIMIT - 2)
    clients.push(await openSession(world), await openSession(world))
    for (const client of clients) client.destroy()
    await waitMetric(world.proxy, 'mtg_concurrency_limited', {}, 3)
  },
)

test('connections are spread evenly over the workers, by how many each holds', { timeout }, async (t) => {
  const channelName = 'spread-worker'
  const world = await startWorld(t, {
    workers: 2,
    workerEntry: new URL('spread-worker.ts', import.meta.url).href,
  })
  const channel = new BroadcastChannel(channelName)
  t.after(() => channel.close())
  const handedOver = { 0: 0, 1: 0 }
  channel.addEventListener('message', ({ data }: { data: unknown }) => {
    handedOver[data as 0 | 1] += 1 // the worker posts its number
  })
  const clients: FakeTlsClient[] = []
  for (let n = 0; n < 10; n++) clients.push(await openSession(world))
  await waitUntil(() => handedOver[0] + handedOver[1] === 10, 'ten hand-offs')
  assert.deepEqual(handedOver, { 0: 5, 1: 5 })

  // Of ten that alternate, those of one worker leave: the next ones all go to it.
  for (const [index, client] of clients.entries()) if (index % 2 === 0) client.destroy()
  await world.proxy.statsWhen(({ total_connections }) => total_connections === 5)
  for (let n = 0; n < 5; n++) clients.push(await openSession(world))
  await waitUntil(() => handedOver[0] + handedOver[1] === 15, 'fifteen hand-offs')
  assert.equal(Math.max(handedOver[0], handedOver[1]), 10)
  for (const client of clients) client.destroy()
})

test('a thousand connections that come and go at once leave every gauge at zero', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2 })
  const visit = async (n: number): Promise<void> => {
    const peer = await RawPeer.connect(world.proxy.port)
    if (n % 3 > 0) peer.write(Buffer.of(0x16, 0x03, 0x01, 0x02))
    if (n % 2 > 0) peer.socket.resetAndDestroy()
    else peer.socket.destroy()
  }
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 50 }, (_, n) => visit(n)))
  await waitMetric(world.proxy, 'mtg_client_connections', {}, 0)
  await waitMetric(world.proxy, 'mtg_domain_fronting_connections', {}, 0)
  const client = await openSession(world)
  await waitMetric(world.proxy, 'mtg_client_connections', {}, 1)
  client.destroy()
})
