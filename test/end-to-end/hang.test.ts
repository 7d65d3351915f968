import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { startWorld, waitMetric, waitUntil, type World } from './world.ts'

const timeout = 60_000
/** The real limit is 20 s; what a sound thread does in a turn is far below this one too. */
const hangLimitMs = 3000

interface Setup extends World {
  readonly faults: Faults
  readonly connect: () => Promise<FakeTlsClient>
}

async function setUp(t: TestContext): Promise<Setup> {
  const world = await startWorld(t, { workers: 2, workerEntry: FAULTY_SERVE, hangLimitMs })
  const { proxy, secret } = world
  const faults = new Faults(proxy.port)
  t.after(() => faults.close())
  return { ...world, faults, connect: () => connectFakeTls({ port: proxy.port, secret, dc: 2 }) }
}

async function echo(client: FakeTlsClient): Promise<void> {
  const message = randomBytes(1000)
  client.write(message)
  assert.ok(message.equals(await client.read(message.length)))
}

test('a thread that never comes back is replaced; the others do not notice', { timeout }, async (t) => {
  const { proxy, faults, connect } = await setUp(t)
  const first = await connect()
  const hanging = await faults.threadOf(first.socket.localPort!)
  const neighbour = await connect()
  assert.notEqual(await faults.threadOf(neighbour.socket.localPort!), hanging)
  first.destroy()
  await proxy.statsWhen(({ total_connections }) => total_connections === 1)
  let hangs = 0
  for (const how of ['loop', 'sleep'] as const) {
    const victim = await connect()
    assert.equal(await faults.threadOf(victim.socket.localPort!), hanging)
    await echo(victim)
    const started = faults.next(({ kind }) => kind === 'started')
    faults.inject(hanging, { kind: 'hang', how })
    await victim.ended.catch(() => {}) // its thread is ended, and its socket with it
    victim.destroy()
    await started
    hangs += 1
    await waitMetric(proxy, 'mtg_worker_hangs', { worker: String(hanging) }, hangs)
    await waitMetric(proxy, 'mtg_worker_restarts', { worker: String(hanging) }, hangs)
    await proxy.statsWhen(({ total_connections }) => total_connections === 1)
    const next = await connect()
    assert.equal(await faults.threadOf(next.socket.localPort!), hanging)
    await echo(next)
    await echo(neighbour)
    next.destroy()
    await proxy.statsWhen(({ total_connections }) => total_connections === 1)
  }
  const errors = proxy.logLines().filter(({ level }) => level === 'error')
  assert.deepEqual(
    errors.map(({ worker, message }) => [worker, message]),
    Array.from({ length: 2 }, () => [
      [hanging, 'worker thread hangs'],
      [hanging, 'worker thread died'],
    ]).flat(),
  )
  assert.match(String(errors[1]?.['error']), /^it has done nothing for 3 s/)
})

test('new clients go around a thread that does nothing, long before it is ended', { timeout }, async (t) => {
  const { proxy, secret, faults } = await startWorldThatWaits(t)
  const connect = (): Promise<FakeTlsClient> => connectFakeTls({ port: proxy.port, secret, dc: 2 })
  const first = await connect()
  const hanging = await faults.threadOf(first.socket.localPort!)
  faults.inject(hanging, { kind: 'hang', how: 'sleep' })
  // Busy ones go first, so without a look at the pulse half of these would be given to the thread that hangs.
  await waitUntil(async () => {
    const probes = Array.from({ length: 4 }, () => connect())
    const limit = new Promise<null>((resolve) => setTimeout(resolve, 500, null))
    return (await Promise.race([Promise.allSettled(probes), limit])) !== null
  }, 'four clients in a row who are served')
  await waitMetric(proxy, 'mtg_worker_hangs', {}, 0)
})

async function startWorldThatWaits(t: TestContext): Promise<World & { faults: Faults }> {
  const world = await startWorld(t, { workers: 2, workerEntry: FAULTY_SERVE })
  const faults = new Faults(world.proxy.port)
  t.after(() => faults.close())
  return { ...world, faults }
}
