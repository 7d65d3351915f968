import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { encodeV1 } from '../support/proxy-header.ts'
import { RawPeer } from './raw-peer.ts'
import { readMetric, startWorld, waitMetric, waitUntil, type World } from './world.ts'

const timeout = 60_000
const UNFINISHED = 'mtg_unfinished_handshakes'
const LIMITED = 'mtg_handshakes_limited'

const connect = ({ proxy, secret }: World, preamble?: Buffer): Promise<FakeTlsClient> =>
  connectFakeTls({ port: proxy.port, secret, dc: 2, ...(preamble === undefined ? {} : { preamble }) })

async function echo(client: FakeTlsClient): Promise<void> {
  client.write(Buffer.from('are you there?'))
  assert.equal((await client.read(14)).toString(), 'are you there?')
}

/** A proxy of which the limits alone matter. */
function withLimits(world: World, maxHandshakes: number, maxHandshakesPerAddress: number): object {
  return { ...world.proxy.config.defense, maxHandshakes, maxHandshakesPerAddress }
}

for (const reusePort of [false, true]) {
  const who = reusePort ? 'threads that accept for themselves' : 'the primary'
  test(`${who}: slow clients take so many places and no more`, { timeout }, async (t) => {
    const world = await startWorld(t, {
      workers: 2,
      config: { reusePort, defense: { maxHandshakes: 4, maxHandshakesPerAddress: 0 } },
    })
    const { proxy } = world
    const before = await Promise.all(Array.from({ length: 4 }, () => connect(world)))
    await waitMetric(proxy, UNFINISHED, {}, 0)
    const slow = await Promise.all(Array.from({ length: 4 }, () => RawPeer.connect(proxy.port)))
    for (const peer of slow) peer.write(Buffer.from('16', 'hex'))
    await waitMetric(proxy, UNFINISHED, {}, 4)

    const refused = await RawPeer.connect(proxy.port)
    await refused.waitOver()
    await waitMetric(proxy, LIMITED, { reason: 'total' }, 1)
    await Promise.all(before.map(echo))

    await proxy.reload({ defense: withLimits(world, 5, 0) })
    const another = await connect(world)
    await echo(another)
    await waitMetric(proxy, UNFINISHED, {}, 4)
    await proxy.reload({ defense: withLimits(world, 4, 0) })
    const again = await RawPeer.connect(proxy.port)
    await again.waitOver()
    await waitMetric(proxy, LIMITED, { reason: 'total' }, 2)

    for (const peer of slow) peer.socket.destroy()
    await waitMetric(proxy, UNFINISHED, {}, 0)
    await echo(await connect(world))
  })
}

test('one address takes its share of them, another one is served', { timeout }, async (t) => {
  const world = await startWorld(t, {
    workers: 2,
    config: { proxyProtocolListener: true, defense: { maxHandshakes: 0, maxHandshakesPerAddress: 2 } },
  })
  const { proxy } = world
  const open = async (host: string): Promise<RawPeer> => {
    const peer = await RawPeer.connect(proxy.port)
    peer.write(encodeV1(host, 1000))
    return peer
  }
  const slow = [await open('2001:db8::1'), await open('2001:db8::2')]
  await waitMetric(proxy, UNFINISHED, {}, 2)
  await waitMetric(proxy, 'mtg_proxy_protocol', { outcome: 'v1' }, 2)
  const third = await open('2001:db8::ffff:3')
  await third.waitOver()
  await waitMetric(proxy, LIMITED, { reason: 'address' }, 1)
  await echo(await connect(world, encodeV1('2001:db8:0:1::1', 1)))
  await waitUntil(() => proxy.logText().includes('handshake limit: address'), 'the reason in the log')

  slow[0]!.socket.destroy()
  await waitMetric(proxy, UNFINISHED, {}, 1)
  await echo(await connect(world, encodeV1('2001:db8::4', 1)))
})

test('the same without a balancer; what is fronted does not count any more', { timeout }, async (t) => {
  const world = await startWorld(t, { config: { defense: { maxHandshakes: 0, maxHandshakesPerAddress: 1 } } })
  const { proxy } = world
  const fronted = await RawPeer.connect(proxy.port)
  fronted.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 1)
  await waitMetric(proxy, UNFINISHED, {}, 0)
  const slow = await RawPeer.connect(proxy.port)
  await waitMetric(proxy, UNFINISHED, {}, 1)
  const refused = await RawPeer.connect(proxy.port)
  await refused.waitOver()
  await waitMetric(proxy, LIMITED, { reason: 'address' }, 1)
  slow.socket.destroy()
  await waitMetric(proxy, UNFINISHED, {}, 0)
  await echo(await connect(world))
})

test('a thread that dies leaves no handshake behind', { timeout }, async (t) => {
  const world = await startWorld(t, {
    workers: 1,
    workerEntry: FAULTY_SERVE,
    config: { defense: { maxHandshakes: 3, maxHandshakesPerAddress: 3 } },
  })
  const { proxy } = world
  const faults = new Faults(proxy.port)
  t.after(() => faults.close())
  const slow = await Promise.all(Array.from({ length: 3 }, () => RawPeer.connect(proxy.port)))
  await waitMetric(proxy, UNFINISHED, {}, 3)
  const restarted = faults.next((report) => report.kind === 'started')
  faults.inject(0, { kind: 'exit' })
  await restarted
  // Whoever waited for it to load would come with an old hello on a slow machine.
  const ready = `http://127.0.0.1:${proxy.running.apiAddress?.port}/health/ready`
  await waitUntil(async () => (await fetch(ready)).ok, 'its successor')
  await Promise.all(slow.map((peer) => peer.waitOver()))
  await Promise.all(Array.from({ length: 3 }, async () => echo(await connect(world))))
  assert.equal(readMetric(await proxy.metrics(), LIMITED), 0)
})

test('while places run short, slow clients have less time to hold theirs', { timeout }, async (t) => {
  const handshakeMs = 600_000
  const network = { timeout: { tcpMs: 5000, httpMs: 5000, idleMs: 60_000, handshakeMs } }
  const defense = { maxHandshakes: 4, maxHandshakesPerAddress: 0 }
  const world = await startWorld(t, { config: { network, defense } })
  const { proxy } = world
  const slow = await Promise.all(Array.from({ length: 4 }, () => RawPeer.connect(proxy.port)))
  for (const peer of slow) peer.write(Buffer.from('16', 'hex'))
  await waitMetric(proxy, UNFINISHED, {}, 4)
  // Those above half of the places go; when half of them are free nobody is in a hurry any more.
  await waitUntil(async () => {
    const text = await proxy.metrics()
    return (
      readMetric(text, 'mtg_handshakes', { outcome: 'deadline' }) >= 2 && readMetric(text, UNFINISHED) <= 2
    )
  }, 'places are free again')
  await echo(await connect(world))
})
