import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectFakeTls } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { startWorld, waitUntil } from './world.ts'

test('ready while it serves, not ready and still alive while it drains', { timeout: 60_000 }, async (t) => {
  const config = { shutdownTimeoutMs: 30_000, apiPathPrefix: '/proxy' }
  const { proxy, secret, dc } = await startWorld(t, { workers: 2, config })
  const status = async (path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${proxy.running.apiAddress?.port}${path}`)).status
  assert.equal(await status('/proxy/health/ready'), 200)
  const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
  await dc.nextConnection()
  const stopped = proxy.running.stop()
  await waitUntil(async () => (await status('/proxy/health/ready')) === 503, 'not ready')
  assert.equal(await status('/proxy/health/live'), 200)
  assert.equal(await status('/proxy/stats'), 200)
  client.end()
  await client.ended
  await stopped
})

test('not ready while a thread is replaced', { timeout: 60_000 }, async (t) => {
  const { proxy } = await startWorld(t, { workers: 2, workerEntry: FAULTY_SERVE })
  const faults = new Faults(proxy.port)
  t.after(() => faults.close())
  const status = async (path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${proxy.running.apiAddress?.port}${path}`)).status
  assert.equal(await status('/health/ready'), 200)
  faults.inject(0, { kind: 'exit' })
  await waitUntil(async () => (await status('/health/ready')) === 503, 'not ready')
  assert.equal(await status('/health/live'), 200)
  await waitUntil(async () => (await status('/health/ready')) === 200, 'ready again')
})
