import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { buildRequest, readPattern, writePattern } from './transfer.ts'
import { makeSecret, startProxyIn, waitMetric } from './world.ts'

const timeout = 30_000

/** One job per connection. DC 2 sends what is asked for, DC -4 swallows; the request is 8 bytes up. */
const JOBS = [
  { name: 'alice', dc: 2, down: 1_000_003, up: 8 },
  { name: 'alice', dc: 2, down: 17, up: 8 },
  { name: 'bob', dc: 2, down: 3_333_333, up: 8 },
  { name: 'alice', dc: -4, down: 8, up: 777_777 },
  { name: 'bob', dc: -4, down: 8, up: 1 },
  { name: 'bob', dc: 2, down: 0, up: 8 },
  { name: 'bob', dc: -4, down: 8, up: 2_000_001 },
  { name: 'alice', dc: 2, down: 65_536, up: 8 },
] as const

const sum = (jobs: readonly (typeof JOBS)[number][], way: 'up' | 'down'): number =>
  jobs.reduce((total, job) => total + job[way], 0)

async function run(client: FakeTlsClient, job: (typeof JOBS)[number]): Promise<void> {
  if (job.dc === 2) {
    client.write(buildRequest(job.down))
    await readPattern(client, job.down)
    client.end()
  } else {
    await writePattern(client, job.up)
    client.end() // is answered with the count of what came
    assert.equal(Number((await client.read(8)).readBigUInt64LE()), job.up)
  }
  await client.ended
}

for (const fastMode of [true, false]) {
  test(`what two users move is what the numbers say, fast mode ${fastMode}`, { timeout }, async (t) => {
    const source = await startStreamDc({ mode: 'source' })
    t.after(() => source.close())
    const sink = await startStreamDc({ mode: 'sink' })
    t.after(() => sink.close())
    const users = { alice: makeSecret(1), bob: makeSecret(2), carol: makeSecret(3) }
    const proxy = await startProxyIn(t, {
      users,
      dcs: { 2: [{ host: '127.0.0.1', port: source.port }], 4: [{ host: '127.0.0.1', port: sink.port }] },
      workers: 2,
      fastMode,
    })
    const begunMs = Date.now()
    const clients = await Promise.all(
      JOBS.map((job) => connectFakeTls({ port: proxy.port, secret: users[job.name], dc: job.dc })),
    )
    const full = await proxy.statsWhen(({ total_connections }) => total_connections === JOBS.length)
    assert.deepEqual(
      Object.values(full.users).map((user) => user.connections),
      [4, 4, 0],
    )
    // To come is to be seen, before anything is moved.
    const seen = await proxy.statsWhen(({ users: { alice, bob } }) =>
      Boolean(alice?.last_seen && bob?.last_seen),
    )
    assert.equal(seen.users['carol']?.last_seen, null)
    await waitMetric(proxy, 'mtg_client_connections', { ip_family: 'ipv4' }, JOBS.length)
    await waitMetric(proxy, 'mtg_telegram_connections', { dc: '2' }, 5)
    await waitMetric(proxy, 'mtg_telegram_connections', { dc: '4' }, 3)

    await Promise.all(clients.map((client, index) => run(client, JOBS[index]!))) // one client a job

    const after = await proxy.statsWhen(({ total_connections }) => total_connections === 0)
    for (const name of ['alice', 'bob'] as const) {
      const own = JOBS.filter((job) => job.name === name)
      const { bytes_in, bytes_out, connections, last_seen } = after.users[name]!
      assert.deepEqual(
        { bytes_in, bytes_out, connections },
        { bytes_in: sum(own, 'up'), bytes_out: sum(own, 'down'), connections: 0 },
        name,
      )
      const seenMs = Date.parse(last_seen ?? '')
      assert.ok(seenMs >= begunMs - 2000 && seenMs <= Date.now(), `${name} was seen at ${last_seen}`)
    }
    assert.deepEqual(after.users['carol'], { connections: 0, bytes_in: 0, bytes_out: 0, last_seen: null })

    for (const dc of [2, 4]) {
      const own = JOBS.filter((job) => Math.abs(job.dc) === dc)
      const labels = { dc: String(dc), telegram_ip: '127.0.0.1' }
      await waitMetric(proxy, 'mtg_telegram_traffic', { ...labels, direction: 'from_client' }, sum(own, 'up'))
      await waitMetric(proxy, 'mtg_telegram_traffic', { ...labels, direction: 'to_client' }, sum(own, 'down'))
    }
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'ok' }, JOBS.length)
    await waitMetric(proxy, 'mtg_client_connections', {}, 0)
    await waitMetric(proxy, 'mtg_telegram_connections', {}, 0)
    await waitMetric(proxy, 'mtg_domain_fronting', {}, 0)
  })
}
