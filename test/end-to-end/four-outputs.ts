import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { parseTotals } from '#primary/state-file/totals'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import type { StatsJson, TestProxy } from '../support/proxy.ts'
import { startStatsdServer, type StatsdServer } from '../support/statsd-server.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { buildRequest, readPattern, writePattern } from './transfer.ts'
import { makeSecret, readMetric, startProxyIn, waitMetric, waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const USERS = { anna: makeSecret(1), boris: makeSecret(2), carla: makeSecret(3) }
const NAMES = ['anna', 'boris', 'carla'] as const
type User = (typeof NAMES)[number]

/** What a job asks of a data centre: DC 2 sends what it is asked for in 8 bytes, DC 4 swallows and answers in 8. */
interface Job {
  readonly user: User
  readonly down: number
  readonly up: number
}

const FIRST: readonly Job[] = [
  { user: 'anna', down: 1_000_003, up: 8 },
  { user: 'anna', down: 8, up: 777_777 },
  { user: 'boris', down: 2_333_333, up: 8 },
  { user: 'boris', down: 8, up: 1 },
  { user: 'carla', down: 17, up: 8 },
  { user: 'carla', down: 8, up: 65_537 },
]
/** On the thread that took the place of the dead one, and on the other. */
const SECOND: readonly Job[] = [
  { user: 'anna', down: 300_001, up: 8 },
  { user: 'anna', down: 8, up: 200_003 },
  { user: 'boris', down: 8, up: 99_991 },
  { user: 'carla', down: 70_001, up: 8 },
]

/** How the outputs are read; whoever has something in front of them reads through it. */
export interface Readers {
  readonly stats: (proxy: TestProxy) => Promise<StatsJson>
  readonly metrics: (proxy: TestProxy) => Promise<string>
}

interface World {
  readonly proxy: TestProxy
  readonly faults: Faults
  readonly statsd: StatsdServer
  readonly stateFile: string
}

async function setUp(t: TestContext): Promise<World> {
  const source = await startStreamDc({ mode: 'source' })
  t.after(() => source.close())
  const sink = await startStreamDc({ mode: 'sink' })
  t.after(() => sink.close())
  const statsd = await startStatsdServer(t)
  const stateFile = join(makeDirectory(t), 'state.json')
  const proxy = await startProxyIn(t, {
    users: USERS,
    dcs: { 2: [{ host: '127.0.0.1', port: source.port }], 4: [{ host: '127.0.0.1', port: sink.port }] },
    workers: 2,
    logLevel: 'info',
    workerEntry: FAULTY_SERVE,
    config: {
      stateFile,
      apiPathPrefix: '/proxy',
      stats: {
        statsd: {
          enabled: true,
          address: { host: '127.0.0.1', port: statsd.port },
          metricPrefix: 'mtg',
          tagFormat: 'datadog',
        },
      },
    },
  })
  const faults = new Faults(proxy.port)
  t.after(() => faults.close())
  return { proxy, faults, statsd, stateFile }
}

interface Running {
  readonly client: FakeTlsClient
  readonly job: Job
  /** That the client came to. */
  readonly thread: number
}

/** A client for each job, all of them connected through to their data centres: before, a FIN would be a farewell. */
async function connectAll({ proxy, faults }: World, jobs: readonly Job[]): Promise<Running[]> {
  const running = await Promise.all(
    jobs.map(async (job) => {
      const secret = USERS[job.user]
      const client = await connectFakeTls({ port: proxy.port, secret, dc: isDownload(job) ? 2 : 4 })
      return { client, job, thread: await faults.threadOf(client.socket.localPort ?? 0) }
    }),
  )
  await waitMetric(proxy, 'mtg_telegram_connections', {}, jobs.length)
  return running
}

const isDownload = ({ up }: Job): boolean => up === 8

async function run({ client, job: { down, up }, job }: Running): Promise<void> {
  if (isDownload(job)) {
    client.write(buildRequest(down))
    await readPattern(client, down)
  } else {
    await writePattern(client, up)
    client.end() // is answered with the count of what came
    assert.equal(Number((await client.read(8)).readBigUInt64LE()), up)
  }
  client.destroy()
}

const sum = (jobs: readonly Job[], way: 'up' | 'down', user?: User): number =>
  jobs.filter((job) => user === undefined || job.user === user).reduce((total, job) => total + job[way], 0)

/** bytes in and out by user, as every output should have them. */
const expect = (jobs: readonly Job[]): Record<string, [number, number]> =>
  Object.fromEntries(NAMES.map((user) => [user, [sum(jobs, 'up', user), sum(jobs, 'down', user)]]))

function fromStats({ users }: StatsJson): Record<string, [number, number]> {
  return Object.fromEntries(
    Object.entries(users).map(([user, { bytes_in, bytes_out }]) => [user, [bytes_in, bytes_out]]),
  )
}

function fromMetrics(text: string): Record<string, [number, number]> {
  const read = (user: string, direction: string): number =>
    readMetric(text, 'mtg_user_bytes', { user, direction })
  return Object.fromEntries(NAMES.map((user) => [user, [read(user, 'from_client'), read(user, 'to_client')]]))
}

function fromStatsd(server: StatsdServer): Record<string, [number, number]> {
  const values = server.values('datadog')
  const read = (user: string, direction: string): number =>
    values.get(`mtg.user_bytes{user=${user},direction=${direction}}`) ?? 0
  return Object.fromEntries(NAMES.map((user) => [user, [read(user, 'from_client'), read(user, 'to_client')]]))
}

function fromStateFile(path: string): Record<string, [number, number]> {
  const totals = parseTotals(readFileSync(path, 'utf8')) ?? new Map()
  return Object.fromEntries(
    Array.from(totals, ([user, { bytesIn, bytesOut }]) => [user, [bytesIn, bytesOut]]),
  )
}

async function agree(world: World, readers: Readers, jobs: readonly Job[]): Promise<void> {
  const { proxy, statsd } = world
  const expected = expect(jobs)
  const same = (found: object): boolean => JSON.stringify(found) === JSON.stringify(expected)
  await waitUntil(async () => same(fromStats(await readers.stats(proxy))), '/stats')
  await waitUntil(() => same(fromStatsd(statsd)), 'StatsD')
  // A user's bytes are told with the end of the connection, those of the thread with its next tick.
  await waitUntil(async () => {
    const metrics = await readers.metrics(proxy)
    assert.deepEqual(fromMetrics(metrics), expected)
    const traffic = (direction: string): number => readMetric(metrics, 'mtg_telegram_traffic', { direction })
    return traffic('from_client') === sum(jobs, 'up') && traffic('to_client') === sum(jobs, 'down')
  }, 'Prometheus')
}

/**
 * Three users move known bytes both ways over two workers, a worker dies, they move more: `/stats`, Prometheus, StatsD and
 * in the end the state file have exactly these numbers (decision O10: what a thread has published outlives it).
 */
export async function moveAndCompare(t: TestContext, readers: Readers): Promise<void> {
  const world = await setUp(t)
  const { proxy, faults } = world
  // Now, if it takes a program in front: one that is started later inherits the clients' sockets of this process.
  await readers.stats(proxy)
  const first = await connectAll(world, FIRST)
  assert.deepEqual(
    new Set(first.map(({ thread }) => thread)),
    new Set([0, 1]),
    'both workers had a part in it',
  )
  await Promise.all(first.map(run))
  await agree(world, readers, FIRST)

  const staying = await connectFakeTls({ port: proxy.port, secret: USERS.anna, dc: 2 })
  const doomed = await faults.threadOf(staying.socket.localPort ?? 0)
  faults.inject(doomed, { kind: 'exit' })
  await staying.ended.catch(() => {})
  await waitUntil(async () => readMetric(await proxy.metrics(), 'mtg_worker_restarts') === 1, 'the restart')
  await agree(world, readers, FIRST)

  const second = await connectAll(world, SECOND)
  await Promise.all(second.map(run))
  const all = [...FIRST, ...SECOND]
  await agree(world, readers, all)
  await waitUntil(async () => (await readers.stats(proxy)).total_connections === 0, 'everybody has left')
  await proxy.running.stop()
  assert.deepEqual(fromStateFile(world.stateFile), expect(all))
}
