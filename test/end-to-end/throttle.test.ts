import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls, FakeTlsError, type FakeTlsClient } from '../support/faketls-client.ts'
import { startRecordingSite } from '../support/front-site.ts'
import type { TestProxy } from '../support/proxy.ts'
import {
  makeSecret,
  readMetric,
  runInBatches,
  startWorld,
  waitMetric,
  waitUntil,
  type World,
} from './world.ts'

const timeout = 60_000
const USERS = { anna: makeSecret(1), boris: makeSecret(2), carla: makeSecret(3), dora: makeSecret(4) }
type User = keyof typeof USERS

const connectAs = ({ proxy }: World, user: User): Promise<FakeTlsClient> =>
  connectFakeTls({ port: proxy.port, secret: USERS[user], dc: 2 })

async function connectMany(world: World, user: User, count: number): Promise<FakeTlsClient[]> {
  const clients: FakeTlsClient[] = []
  const jobs = Array.from({ length: count }, (_, index) => index)
  await runInBatches(jobs, 16, async () => void clients.push(await connectAs(world, user)))
  return clients
}

/** Connect until nobody is let in any more. Returns those who were. */
async function connectUntilRefused(world: World, user: User): Promise<FakeTlsClient[]> {
  const clients: FakeTlsClient[] = []
  for (;;) {
    try {
      clients.push(await connectAs(world, user))
    } catch (error) {
      assert.ok(error instanceof FakeTlsError && error.code === 'closed', String(error))
      return clients
    }
  }
}

async function leave(world: World, user: User, clients: readonly FakeTlsClient[]): Promise<void> {
  const { [user]: before } = (await world.proxy.stats()).users
  for (const client of clients) client.end()
  await world.proxy.statsWhen(
    ({ users }) => users[user]?.connections === (before?.connections ?? 0) - clients.length,
  )
}

async function counts(proxy: TestProxy): Promise<number[]> {
  const { users } = await proxy.stats()
  return Object.keys(USERS).map((name) => users[name]?.connections ?? -1)
}

test(
  '1, 1, 90 and 110 connections under a limit of 100: the large ones are capped at 49',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { users: USERS, workers: 2, logLevel: 'info' })
    const { proxy } = world
    await connectMany(world, 'anna', 1)
    await connectMany(world, 'boris', 1)
    const carla = await connectMany(world, 'carla', 90)
    const dora = await connectMany(world, 'dora', 110)
    assert.equal((await proxy.stats()).throttle, undefined)

    await proxy.reload({ throttle: { maxConnections: 100 } })
    const lowered = await proxy.stats()
    assert.deepEqual(lowered.throttle, { active: true, limit: 100, caps: { carla: 49, dora: 49 } })
    assert.equal(lowered.total_connections, 202, 'nobody is cut')
    await waitUntil(() => proxy.logText().includes('throttle activated'), 'the log line')

    // At once, on whatever thread, and not at the next check.
    assert.equal((await connectUntilRefused(world, 'carla')).length, 0)
    assert.equal((await connectUntilRefused(world, 'dora')).length, 0)
    // Those with less still get in.
    const [extra] = await connectMany(world, 'anna', 1)
    assert.ok(extra)
    await leave(world, 'anna', [extra])

    // Who gives back more than the surplus gets exactly the fair share again.
    await leave(world, 'carla', carla.slice(0, 60))
    assert.equal((await connectUntilRefused(world, 'carla')).length, 19)
    assert.deepEqual(await counts(proxy), [1, 1, 49, 110])
    await leave(world, 'dora', dora.slice(0, 80))
    assert.equal((await connectUntilRefused(world, 'dora')).length, 19)
    const settled = await proxy.stats()
    assert.deepEqual(await counts(proxy), [1, 1, 49, 49])
    assert.equal(settled.total_connections, 100)
    assert.deepEqual(settled.throttle, { active: true, limit: 100 }, 'full, and nobody holds too many')

    const metrics = await proxy.metrics()
    const refusals = (user: User): number =>
      readMetric(metrics, 'mtg_user_refusals', { user, reason: 'fair-share' })
    assert.deepEqual([refusals('anna'), refusals('carla'), refusals('dora')], [0, 2, 2])
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'refused' }, 4)

    await proxy.reload({ throttle: { maxConnections: 0 } })
    await connectMany(world, 'dora', 5)
    assert.deepEqual(await counts(proxy), [1, 1, 49, 54], 'off is off, at once')
    assert.equal((await proxy.stats()).throttle, undefined)
    await waitUntil(() => proxy.logText().includes('throttle deactivated'), 'the log line')
  },
)

test('the limit is not exceeded between two checks, and there is no saw-tooth', { timeout }, async (t) => {
  const world = await startWorld(t, {
    users: USERS,
    workers: 2,
    logLevel: 'info',
    config: { throttle: { maxConnections: 20, checkIntervalMs: 3_600_000 } },
  })
  const anna = await connectUntilRefused(world, 'anna')
  assert.equal(anna.length, 20, 'one user may have everything while nobody else wants it')
  const boris = await connectUntilRefused(world, 'boris')
  assert.equal(boris.length, 10, 'the other one gets as much as would be fair')
  // Places that become free go to whoever is below the share, again and again.
  for (let round = 0; round < 3; round++) {
    await leave(world, 'anna', anna.splice(0, 1))
    assert.equal((await connectUntilRefused(world, 'anna')).length, 0)
    await leave(world, 'boris', boris.splice(0, 2))
    boris.push(...(await connectUntilRefused(world, 'boris')))
    assert.equal(boris.length, 10)
  }
  assert.deepEqual(await counts(world.proxy), [17, 10, 0, 0])
})

test('it says when it begins and when it ends, once each', { timeout }, async (t) => {
  const world = await startWorld(t, {
    users: USERS,
    logLevel: 'info',
    config: { throttle: { maxConnections: 2, checkIntervalMs: 100 } },
  })
  const { proxy } = world
  assert.deepEqual((await proxy.stats()).throttle, { active: false, limit: 2 })
  const clients = await connectUntilRefused(world, 'anna')
  await waitUntil(() => proxy.logText().includes('throttle activated'), 'the beginning')
  await leave(world, 'anna', clients)
  await waitUntil(() => proxy.logText().includes('throttle deactivated'), 'the end')
  assert.deepEqual((await proxy.stats()).throttle, { active: false, limit: 2 })
  const said = proxy.logLines().map(({ message }) => String(message))
  assert.deepEqual(
    said.filter((message) => message.startsWith('throttle')),
    ['throttle loop started', 'throttle activated', 'throttle deactivated'],
  )
})

test(
  'with action = "front" a refused user sees the site, and gets every byte of the hello there',
  { timeout },
  async (t) => {
    const site = await startRecordingSite({
      reply: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      endAfterReply: true,
    })
    t.after(() => site.close())
    const world = await startWorld(t, {
      users: USERS,
      fronting: { host: '127.0.0.1', port: site.port },
      config: { throttle: { maxConnections: 1, action: 'front' } },
    })
    await connectMany(world, 'anna', 1)
    await assert.rejects(connectAs(world, 'anna'), FakeTlsError)
    const visit = await site.nextConnection()
    assert.deepEqual([...(await visit.waitReceived(3))], [0x16, 0x03, 0x01])
    await waitUntil(() => world.proxy.logText().includes('connection throttled'), 'the log line')
    assert.equal((await world.proxy.stats()).total_connections, 1)
  },
)
