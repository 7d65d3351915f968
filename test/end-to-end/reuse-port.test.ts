import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE, TAKEN_PORT_VARIABLE } from '../support/faults.ts'
import { eventually } from '../support/process-state.ts'
import { encodeV1 } from '../support/proxy-header.ts'
import { RawPeer } from './raw-peer.ts'
import { readMetric, startWorld, waitMetric, waitUntil, type World } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000

function connect({ proxy, secret }: World): Promise<FakeTlsClient> {
  return connectFakeTls({ port: proxy.port, secret, dc: 2 })
}

async function echo(client: FakeTlsClient): Promise<void> {
  client.write(Buffer.from('are you there?'))
  assert.equal((await client.read(14)).toString(), 'are you there?')
}

test(
  'every thread accepts for itself; one that dies takes its own along and comes back',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { workers: 2, workerEntry: FAULTY_SERVE, config: { reusePort: true } })
    const { proxy } = world
    const faults = new Faults(proxy.port)
    t.after(() => faults.close())
    const clients = await Promise.all(Array.from({ length: 40 }, () => connect(world)))
    await Promise.all(clients.map(echo))
    await waitMetric(proxy, 'mtg_client_connections', {}, clients.length)

    const restarted = faults.next((report) => report.kind === 'started')
    faults.inject(0, { kind: 'exit' })
    await restarted
    await waitUntil(
      () => clients.some((client) => client.socket.destroyed || client.socket.readableEnded),
      'a death',
    )
    await waitMetric(proxy, 'mtg_worker_restarts', {}, 1)
    const left = readMetric(await proxy.metrics(), 'mtg_client_connections')
    assert.ok(left > 0 && left < clients.length, `${left} of ${clients.length} were with the other thread`)
    await proxy.statsWhen((stats) => stats.total_connections === left)
    const served = await Promise.allSettled(clients.map(echo))
    assert.equal(served.filter(({ status }) => status === 'fulfilled').length, left)
    for (const client of clients) client.destroy()

    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
    const ready = `http://127.0.0.1:${proxy.running.apiAddress?.port}/health/ready`
    await waitUntil(async () => (await fetch(ready)).status === 200, 'both listen')
    // Both again: a hash of the ports decides, and 40 of them never fall on one thread.
    const again = await Promise.all(Array.from({ length: 40 }, () => connect(world)))
    await waitMetric(proxy, 'mtg_client_connections', {}, again.length)
    faults.inject(1, { kind: 'exit' })
    await waitMetric(proxy, 'mtg_worker_restarts', {}, 2)
    const stayed = readMetric(await proxy.metrics(), 'mtg_client_connections')
    assert.ok(stayed > 0 && stayed < again.length, `${stayed} of ${again.length} were with the first thread`)
    for (const client of again) client.destroy()
  },
)

test('concurrency holds to the connection over all threads, and places come free', { timeout }, async (t) => {
  const concurrency = 25
  const world = await startWorld(t, {
    workers: 2,
    workerEntry: FAULTY_SERVE,
    config: { reusePort: true, concurrency },
  })
  const { proxy } = world
  const knock = async (count: number): Promise<RawPeer[]> => {
    const peers = await Promise.all(Array.from({ length: count }, () => RawPeer.connect(proxy.port)))
    return peers
  }
  const isOpen = (peer: RawPeer): boolean => !peer.hasEnded && !peer.socket.closed
  // The places first: a hash of the ports spreads these over both threads. In a crowd the thread that wakes first takes them all.
  const peers = await knock(concurrency)
  await waitMetric(proxy, 'mtg_client_connections', {}, concurrency)
  peers.push(...(await knock(200 - concurrency)))
  await waitUntil(() => peers.filter(isOpen).length <= concurrency, 'the others were closed')
  await waitMetric(proxy, 'mtg_client_connections', {}, concurrency)
  await waitMetric(proxy, 'mtg_concurrency_limited', {}, 200 - concurrency)
  const open = peers.filter(isOpen)
  assert.equal(open.length, concurrency)

  for (const peer of open.slice(0, 5)) peer.socket.destroy()
  await waitMetric(proxy, 'mtg_client_connections', {}, concurrency - 5)
  const more = await knock(30)
  await waitMetric(proxy, 'mtg_concurrency_limited', {}, 200 - concurrency + 25)
  await waitUntil(() => more.filter(isOpen).length === 5, 'five of them have the places')
  await waitMetric(proxy, 'mtg_client_connections', {}, concurrency)

  // A dead thread gives back what it held, not more and not less.
  const faults = new Faults(proxy.port)
  t.after(() => faults.close())
  faults.inject(0, { kind: 'throw' })
  await waitMetric(proxy, 'mtg_worker_restarts', {}, 1)
  await waitUntil(
    () => proxy.logLines().filter(({ message }) => message === 'worker thread died').length === 1,
    'death',
  )
  const left = readMetric(await proxy.metrics(), 'mtg_client_connections')
  assert.ok(left < concurrency)
  const late = await knock(40)
  await waitMetric(proxy, 'mtg_client_connections', {}, concurrency)
  await waitUntil(() => late.filter(isOpen).length === concurrency - left, 'its places were taken again')
  for (const peer of [...peers, ...more, ...late]) peer.socket.destroy()
})

test(
  'the limit may change, and PROXY headers name the client, with own listeners too',
  { timeout },
  async (t) => {
    const world = await startWorld(t, {
      workers: 2,
      config: { reusePort: true, proxyProtocolListener: true },
    })
    const { proxy, secret } = world
    const preamble = encodeV1('2001:db8::7', 1)
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2, preamble })
    await waitMetric(proxy, 'mtg_client_connections', { ip_family: 'ipv6' }, 1)
    await proxy.running.reload({ ...proxy.config, concurrency: 1 })
    const refused = await RawPeer.connect(proxy.port)
    await refused.waitOver()
    await waitMetric(proxy, 'mtg_concurrency_limited', {}, 1)
    await echo(client)
    client.destroy()
  },
)

test(
  'a thread that cannot listen gives up all of it, and the next one in its place serves',
  { timeout },
  async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    t.after(() => taken.close())
    const file = join(makeDirectory(t), 'taken-port')
    process.env[TAKEN_PORT_VARIABLE] = file
    t.after(() => delete process.env[TAKEN_PORT_VARIABLE])
    const world = await startWorld(t, { workers: 2, workerEntry: FAULTY_SERVE, config: { reusePort: true } })
    const { proxy } = world
    const faults = new Faults(proxy.port)
    t.after(() => faults.close())
    const { port } = taken.address() as AddressInfo // of a TCP server
    writeFileSync(file, String(port))
    faults.inject(0, { kind: 'exit' })
    await waitMetric(proxy, 'mtg_worker_restarts', {}, 2)
    const ready = `http://127.0.0.1:${proxy.running.apiAddress?.port}/health/ready`
    await waitUntil(async () => (await fetch(ready)).status === 200, 'both listen')
    const died = proxy.logLines().filter(({ message }) => message === 'worker thread died')
    assert.match(String(died[1]?.['error']), /EADDRINUSE/)
    // It may be the same thread of the pool: nothing is left in it of the attempt, its listener of the right address above all.
    // What a start uses may take a turn more to be gone.
    await eventually(
      'the same in both threads',
      () => Promise.all([0, 1].map((thread) => faults.countResources(thread))),
      ([tried, untried]) => isDeepStrictEqual(tried, untried),
    )
    const clients = await Promise.all(Array.from({ length: 40 }, () => connect(world)))
    await Promise.all(clients.map(echo))
    for (const client of clients) client.destroy()
  },
)

test('a stop ends accepting in every thread and lets connections finish', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2, config: { reusePort: true } })
  const clients = await Promise.all(Array.from({ length: 10 }, () => connect(world)))
  const stopped = world.proxy.running.stop()
  await waitUntil(
    () =>
      RawPeer.connect(world.proxy.port).then(
        (peer) => (peer.socket.destroy(), false),
        () => true,
      ),
    'nobody listens',
  )
  await Promise.all(clients.map(echo))
  for (const client of clients) client.end()
  await stopped
})
