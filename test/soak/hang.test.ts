import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import {
  readMetric,
  startWorld,
  waitMetric,
  waitUntil,
  type World,
  type WorldOptions,
} from '../end-to-end/world.ts'

const timeout = 60_000
/** The real limit is 20 s. A thread of a busy test machine needs a second or two to load. */
const hangLimitMs = 4000

interface Setup extends World {
  readonly faults: Faults
  readonly connect: () => Promise<FakeTlsClient>
}

async function setUp(t: TestContext, options: WorldOptions): Promise<Setup> {
  const world = await startWorld(t, { workerEntry: FAULTY_SERVE, ...options })
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

test('threads that never come back are replaced; the others do not notice', { timeout }, async (t) => {
  const { proxy, faults, connect } = await setUp(t, { workers: 3, hangLimitMs })
  const clients = [await connect(), await connect(), await connect()] as const
  const threads = await Promise.all(clients.map((client) => faults.threadOf(client.socket.localPort!)))
  assert.deepEqual(new Set(threads), new Set([0, 1, 2]))
  const [turning, sleeping, neighbour] = clients
  await Promise.all(clients.map(echo))
  faults.inject(threads[0]!, { kind: 'hang', how: 'loop' })
  faults.inject(threads[1]!, { kind: 'hang', how: 'sleep' })
  for (const victim of [turning, sleeping]) {
    await victim.ended.catch(() => {}) // its thread is ended, and its socket with it
    victim.destroy()
  }
  await waitMetric(proxy, 'mtg_worker_hangs', {}, 2)
  await waitMetric(proxy, 'mtg_worker_restarts', {}, 2)
  await proxy.statsWhen(({ total_connections }) => total_connections === 1)
  await echo(neighbour)
  await waitUntil(() => isReady(proxy), 'readiness')
  for (const _ of [turning, sleeping]) {
    const next = await connect()
    assert.notEqual(await faults.threadOf(next.socket.localPort!), threads[2])
    await echo(next)
  }
  const errors = proxy.logLines().filter(({ level }) => level === 'error')
  for (const message of ['worker thread hangs', 'worker thread died']) {
    const workers = errors.filter((line) => line['message'] === message).map((line) => line['worker'])
    assert.equal(workers.length, 2)
    assert.deepEqual(new Set(workers), new Set(threads.slice(0, 2)), message)
  }
  assert.match(
    String(errors.find(({ error }) => error !== undefined)?.['error']),
    /^it has done nothing for \d s/,
  )
})

test('new clients go around a thread that does nothing, long before it is ended', { timeout }, async (t) => {
  const { proxy, faults, connect } = await setUp(t, { workers: 2 })
  const hanging = await faults.threadOf((await connect()).socket.localPort!)
  faults.inject(hanging, { kind: 'block-then-exit', blockMs: 6000 })
  // Of four at once the thread with the smaller load gets some, unless one has looked whether it lives.
  await waitUntil(async () => {
    const served = Promise.all(Array.from({ length: 4 }, () => connect()))
    served.catch(() => {}) // those who wait are cut off when their thread exits
    const limit = new Promise<null>((resolve) => setTimeout(resolve, 500, null))
    return (await Promise.race([served, limit])) !== null
  }, 'four clients at once who are served')
  assert.equal(readMetric(await proxy.metrics(), 'mtg_worker_restarts'), 0, 'and it is still there')
  await waitMetric(proxy, 'mtg_worker_restarts', {}, 1)
  assert.equal(readMetric(await proxy.metrics(), 'mtg_worker_hangs'), 0)
})

async function isReady({ running }: World['proxy']): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${running.apiAddress?.port}/health/ready`)).ok
}
