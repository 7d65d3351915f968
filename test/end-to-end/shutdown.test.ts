import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { RawPeer } from './raw-peer.ts'
import { buildRequest, MIB, readPattern } from './transfer.ts'
import { LIVENESS_LIMIT_MS, startWorld, type World } from './world.ts'
import { findFreePort } from '../support/free-port.ts'

const timeout = 30_000

function connect({ proxy, secret }: World): Promise<FakeTlsClient> {
  return connectFakeTls({ port: proxy.port, secret, dc: 2 })
}

test('a stop lets a transfer end, while nobody new is let in', { timeout }, async (t) => {
  const world = await startWorld(t, { dcMode: 'source', workers: 2, config: { shutdownTimeoutMs: 20_000 } })
  const clients = [await connect(world), await connect(world), await connect(world)]
  for (const client of clients) {
    client.socket.pause()
    client.write(buildRequest(16 * MIB))
  }
  await world.dc.nextConnection()
  let isStopped = false
  const stopped = world.proxy.running.stop().then(() => (isStopped = true))
  await assert.rejects(RawPeer.connect(world.proxy.port), { code: 'connect' })
  for (const client of clients) {
    assert.equal(isStopped, false)
    client.socket.resume()
    await readPattern(client, 16 * MIB)
    client.end()
    assert.equal((await client.closed).errorCode, null)
  }
  await stopped
})

test(
  'a stop ends stubborn connections after the timeout, whatever stage they are in',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { workers: 2, config: { shutdownTimeoutMs: 1000 } })
    const relayed = await connect(world)
    const silent = await RawPeer.connect(world.proxy.port)
    const fronted = await RawPeer.connect(world.proxy.port)
    fronted.write(Buffer.from('garbage'))
    await (await world.site.nextConnection()).waitReceived(7)
    const begunMs = performance.now()
    await world.proxy.running.stop()
    const tookMs = performance.now() - begunMs
    // A timer counts from the beginning of the turn in which it is set: it is early by what the turn has taken so far.
    assert.ok(tookMs >= 800, `${tookMs} ms: they were not waited for`)
    assert.ok(tookMs < LIVENESS_LIMIT_MS, `${tookMs} ms`)
    await relayed.ended.catch(() => {})
    relayed.destroy()
    for (const peer of [silent, fronted]) {
      await peer.waitOver()
      peer.socket.destroy()
    }
    await world.proxy.running.finished
  },
)

test('a stop without connections is over before its timeout', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2, config: { shutdownTimeoutMs: 25_000 } })
  const client = await connect(world)
  client.end()
  await client.closed
  const begunMs = performance.now()
  await world.proxy.running.stop()
  assert.ok(performance.now() - begunMs < LIVENESS_LIMIT_MS)
})

test('a kill ends everything at once', { timeout }, async (t) => {
  const world = await startWorld(t, { dcMode: 'source', workers: 2, config: { shutdownTimeoutMs: 25_000 } })
  const client = await connect(world)
  client.write(buildRequest(1000))
  await client.read(1000)
  const connection = await world.dc.nextConnection()
  const begunMs = performance.now()
  await world.proxy.running.kill()
  await client.ended.catch(() => {})
  if (!connection.socket.closed) await new Promise((resolve) => connection.once('close', () => resolve(null)))
  assert.ok(performance.now() - begunMs < LIVENESS_LIMIT_MS)
  client.destroy()
  await assert.rejects(RawPeer.connect(world.proxy.port), { code: 'connect' })
})

test('a stop or a kill leaves no thread, and starts none', { timeout }, async (t) => {
  const living = new Set<Worker>()
  let begun = 0
  const begin = (worker: Worker): void => {
    begun += 1
    living.add(worker)
    worker.once('exit', () => living.delete(worker))
  }
  process.on('worker', begin)
  t.after(() => process.off('worker', begin))
  for (const end of ['stop', 'kill'] as const) {
    begun = 0
    const world = await startWorld(t, { workers: 2 })
    await world.proxy.running[end]()
    await world.proxy.running.finished
    await new Promise(setImmediate) // Node tells of a new thread in a turn of its own
    assert.deepEqual({ begun, left: living.size }, { begun: 2, left: 0 }, end)
  }
})

test('after a stop or a kill the port is free for the next', { timeout }, async (t) => {
  const port = await findFreePort()
  for (const end of ['stop', 'kill', 'stop'] as const) {
    const world = await startWorld(t, { workers: 2, config: { bindTo: [{ host: '127.0.0.1', port }] } })
    assert.equal(world.proxy.port, port)
    const client = await connect(world)
    client.write(Buffer.from('here'))
    await client.read(4)
    client.end()
    await client.closed
    await world.proxy.running[end]()
  }
})
