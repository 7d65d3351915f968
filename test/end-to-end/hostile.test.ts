import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { connectFakeTls, connectRaw, sendRaw } from '../support/faketls-client.ts'
import { readCorpus } from '../fuzz/corpus.ts'
import { cutsOf } from '../fuzz/target.ts'
import { TARGETS } from '../fuzz/targets.ts'
import { runInBatches, startWorld, type World } from './world.ts'

const timeout = 60_000
const WIDTH = 16
const FRESH_INPUTS = 20

/** What fuzzing kept for these targets, and a few fresh inputs. */
function listInputs(...names: readonly string[]): Buffer[] {
  return TARGETS.filter(({ name }) => names.includes(name)).flatMap(({ name, inputs }) => [
    ...readCorpus(name).map(({ input }) => input),
    ...fc.sample(inputs, FRESH_INPUTS),
  ])
}

/** Send, cut somewhere, end, and wait until the proxy has ended it too. */
async function pour(socket: Socket, input: Buffer): Promise<void> {
  socket.on('error', () => {}) // a reset is an end
  socket.resume()
  // Not by `once` of events, which takes an 'error' for the failure of the wait.
  const closed = new Promise<void>((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
  await sendRaw(socket, input, cutsOf(input))
  socket.end()
  await closed
}

/** Nobody is left, nothing was said above a warning, and users are served. */
async function assertUnharmed({ proxy, secret }: World): Promise<void> {
  const stats = await proxy.statsWhen(({ total_connections }) => total_connections === 0)
  assert.equal(stats.users['alice']?.connections, 0)
  const errors = proxy.logLines().filter(({ level }) => level === 'error' || level === 'fatal')
  assert.deepEqual(errors, [])
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  client.write(Buffer.from('hello'))
  assert.equal(String(await client.read(5)), 'hello')
  client.destroy()
}

test('whatever strangers send, no thread dies and nothing is left of it', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2 })
  const inputs = listInputs('client-hello', 'records', 'frame', 'proxy-header', 'socks5', 'http')
  await runInBatches(inputs, WIDTH, async (input) =>
    pour(await connectRaw({ port: world.proxy.port }), input),
  )
  await assertUnharmed(world)
})

test('whatever users send behind their handshake, neither', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2, dcMode: 'echo' })
  await runInBatches(listInputs('records', 'frame', 'client-hello'), WIDTH, async (input) => {
    const client = await connectFakeTls({ port: world.proxy.port, secret: world.secret, dc: 2 })
    client.ended.catch(() => {}) // records of the echo are no matter here
    await pour(client.socket, input)
  })
  await assertUnharmed(world)
})

test('whatever stands where a PROXY header belongs, neither', { timeout }, async (t) => {
  const world = await startWorld(t, { workers: 2, config: { proxyProtocolListener: true } })
  await runInBatches(listInputs('proxy-header', 'client-hello'), WIDTH, async (input) =>
    pour(await connectRaw({ port: world.proxy.port }), input),
  )
  await world.proxy.reload({ proxyProtocolListener: false })
  await assertUnharmed(world)
})
