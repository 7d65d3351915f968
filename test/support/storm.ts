import assert from 'node:assert/strict'
import { readDescriptorLimit } from '#primary/descriptor-limit'
import { connectFakeTls } from './faketls-client.ts'
import { Faults, FAULTY_SERVE } from './faults.ts'
import {
  countDescriptors,
  eventually,
  fetchStats,
  fetchText,
  measureHeap,
  sumMetric,
} from './process-state.ts'
import { startTestProxy } from './proxy.ts'
import { patternSlice, startStreamDc } from './stream-dc.ts'

const SECRET = `ee${'05'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
const MESSAGE_BYTES = 200
const WORKERS = 2
/** The client's, the accepted one, the dialled one and the data centre's: all of them are in this process. */
const DESCRIPTORS_PER_CLIENT = 4
const DESCRIPTORS_BESIDE = 100
/** Connections that come first, so that what is made once (pools, compiled code) is not taken for a leak. */
const WARM_UP_CLIENTS = 200
/**
 * What the heap of a thread may have grown by, per connection that came and went, and beside that once. A connection
 * that is kept costs about 16 KiB; V8 goes on compiling and feedback grows, which has nothing to do with their number.
 */
const HEAP_GROWTH_PER_CLIENT_BYTES = 256
const HEAP_GROWTH_BYTES = 3 * 1024 * 1024

export interface StormResult {
  readonly clientsPerSecond: number
  /** Of the primary (where clients and data centre run as well) and of each worker thread. */
  readonly heapGrowthBytes: readonly number[]
}

/**
 * Clients that connect, shake hands, have 200 bytes echoed and leave, so many at a time. Every one must be served, and
 * descriptors, heaps and numbers must be back where they were.
 */
export async function runStorm(clients: number, inFlight: number): Promise<StormResult> {
  const needed = DESCRIPTORS_PER_CLIENT * inFlight + DESCRIPTORS_BESIDE
  const limit = readDescriptorLimit()
  assert.ok(
    limit >= needed,
    `this storm needs ${needed} open files, the limit is ${limit}: ulimit -n ${needed}`,
  )

  const dc = await startStreamDc({ mode: 'echo' })
  const proxy = await startTestProxy({
    users: { anna: SECRET },
    dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    workers: WORKERS,
    workerEntry: FAULTY_SERVE,
  })
  const faults = new Faults(proxy.port, { remembersPlacements: false })
  const stats = (): ReturnType<typeof fetchStats> => fetchStats(proxy.running.apiAddress!.port)
  const metric = async (name: string): Promise<number> =>
    sumMetric(await fetchText(proxy.running.metricsAddress!.port, '/'), name)
  const settle = async (served: number): Promise<void> => {
    const { users } = await eventually('no connection', stats, ({ total_connections: total }) => total === 0)
    assert.equal(users['anna']?.bytes_in, served * MESSAGE_BYTES)
    assert.equal(users['anna']?.bytes_out, served * MESSAGE_BYTES)
    for (const gauge of ['mtg_client_connections', 'mtg_telegram_connections'])
      await eventually(
        gauge,
        () => metric(gauge),
        (value) => value === 0,
      )
  }
  const measureHeaps = async (): Promise<number[]> => {
    const workers = await Promise.all(
      Array.from({ length: WORKERS }, (_, thread) => faults.measureHeap(thread)),
    )
    return [measureHeap(), ...workers]
  }

  try {
    await connectAll(proxy.port, WARM_UP_CLIENTS, Math.min(inFlight, WARM_UP_CLIENTS))
    await settle(WARM_UP_CLIENTS)
    const heapsBefore = await measureHeaps()
    const descriptorsBefore = countDescriptors()

    const startedMs = performance.now()
    await connectAll(proxy.port, clients, inFlight)
    const seconds = (performance.now() - startedMs) / 1000

    await settle(WARM_UP_CLIENTS + clients)
    await eventually('the descriptors of before', countDescriptors, (now) => now <= descriptorsBefore)
    assert.equal(await metric('mtg_hand_offs_failed'), 0)
    assert.equal(await metric('mtg_worker_restarts'), 0)
    const heapsAfter = await measureHeaps()
    const heapGrowthBytes = heapsAfter.map((after, thread) => after - heapsBefore[thread]!)
    const allowed = HEAP_GROWTH_BYTES + clients * HEAP_GROWTH_PER_CLIENT_BYTES
    for (const growth of heapGrowthBytes)
      assert.ok(growth <= allowed, `heaps grew by ${heapGrowthBytes.join(', ')} bytes, ${allowed} allowed`)
    return { clientsPerSecond: clients / seconds, heapGrowthBytes }
  } finally {
    await proxy.stop()
    faults.close()
    await dc.close()
  }
}

/** Throws if one of them is not served. `inFlight` of them go on at any moment, until all have been. */
async function connectAll(port: number, clients: number, inFlight: number): Promise<void> {
  let next = 0
  const takeTurns = async (): Promise<void> => {
    while (next < clients) {
      const number = next
      next += 1
      await connectOnce(port, number)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, takeTurns))
}

async function connectOnce(port: number, number: number): Promise<void> {
  const client = await connectFakeTls({ port, secret: SECRET, dc: 2 })
  // Another piece of the pattern for each, so that an answer to somebody else is noticed.
  const message = patternSlice(number * MESSAGE_BYTES, MESSAGE_BYTES)
  client.write(message)
  assert.ok(message.equals(await client.read(MESSAGE_BYTES)), `client ${number} got another echo`)
  client.end()
  await client.ended
  await client.closed
}
