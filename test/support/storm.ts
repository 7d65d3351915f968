import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
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
import { patternSlice } from './stream-dc.ts'

const SECRET = `ee${'05'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
const MESSAGE_BYTES = 200
const WORKERS = 2
/** The client's own, the accepted one and the dialled one are in this process, the data centre is not. */
const DESCRIPTORS_PER_CLIENT = 3
const DESCRIPTORS_BESIDE = 100
/**
 * A hello is signed when its client begins to connect. A storm is about losing nobody, so neither the signature nor the
 * handshake may become too old on a machine that has other things to do.
 */
const PATIENCE_MS = 60_000
/** Connections that come first, so that what is made once (pools, compiled code) is not taken for a leak. */
const WARM_UP_CLIENTS = 200
/**
 * What the heap of a thread may have grown by, per connection that came and went, and beside that once. A connection
 * that is kept costs about 16 KiB; V8 goes on compiling and feedback grows, which has nothing to do with their number.
 */
const HEAP_GROWTH_PER_CLIENT_BYTES = 128
const HEAP_GROWTH_BYTES = 2 * 1024 * 1024

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

  const dc = await startEchoDc()
  const proxy = await startTestProxy({
    logLevel: 'info',
    users: { anna: SECRET },
    dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
    workers: WORKERS,
    workerEntry: FAULTY_SERVE,
    config: {
      // All of them have one address.
      defense: { maxHandshakes: 0, maxHandshakesPerAddress: 0 },
      tolerateTimeSkewnessMs: PATIENCE_MS,
      network: {
        timeout: { tcpMs: PATIENCE_MS, httpMs: PATIENCE_MS, idleMs: PATIENCE_MS, handshakeMs: PATIENCE_MS },
      },
    },
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
    const allowed = HEAP_GROWTH_BYTES + clients * HEAP_GROWTH_PER_CLIENT_BYTES
    // Again and again, because finalizers and late 'close' events let go of things after a collection.
    const heapGrowthBytes = await eventually(
      `heap growth of less than ${allowed} bytes`,
      async () => (await measureHeaps()).map((after, thread) => after - heapsBefore[thread]!),
      (growths) => growths.every((growth) => growth <= allowed),
    )
    return { clientsPerSecond: clients / seconds, heapGrowthBytes }
  } finally {
    await proxy.stop()
    faults.close()
    await dc.close()
  }
}

/** In a process of its own, so that what it keeps is not measured. */
async function startEchoDc(): Promise<{ port: number; close: () => Promise<void> }> {
  const program = new URL('stream-dc.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [program, '--mode', 'echo'], { stdio: ['pipe', 'pipe', 'inherit'] })
  for await (const line of createInterface(child.stdout)) {
    const { port } = JSON.parse(line) as { port: number } // its only line
    return {
      port,
      close: async () => {
        child.stdin.end()
        await once(child, 'exit')
      },
    }
  }
  throw new Error('the data centre did not start')
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
