import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import type { RunningProxy } from '#primary/proxy'
import { assertNobodyLeft } from './exactness.ts'
import { countAccepted } from './kernel-sockets.ts'
import { eventually } from './process-state.ts'

/** What the assertion asks of a proxy, with numbers of our own. */
const answering = (
  port: number,
  ledger: number,
  primary: number,
): Parameters<typeof assertNobodyLeft>[0] => ({
  port,
  hasEnded: false,
  // Only these two are looked at.
  running: {
    apiAddress: { host: '', port: 0 },
    metricsAddress: { host: '', port: 0 },
  } as unknown as RunningProxy,
  stats: () => Promise.resolve({ started_at: '', uptime_seconds: 0, total_connections: ledger, users: {} }),
  metrics: () => Promise.resolve(`mtg_worker_connections{worker="0"} ${primary}\n`),
})

test('a connection that is kept when its client is gone is found in the kernel', async (t) => {
  const accepted: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => void accepted.push(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo // listening on TCP
  assert.equal(countAccepted(port), 0)
  const clients = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  await eventually(
    'two connections',
    () => accepted.length,
    (count) => count === 2,
  )
  await eventually(
    'both in the kernel',
    () => countAccepted(port),
    (count) => count === 2,
  )

  await assert.rejects(assertNobodyLeft(answering(port, 0, 0), 50), /somebody is left/)
  assert.ok(clients.every(({ destroyed }) => destroyed))
  accepted[0]!.destroy()
  await eventually(
    'one of them',
    () => countAccepted(port),
    (count) => count === 1,
  )
  await assert.rejects(assertNobodyLeft(answering(port, 0, 0), 50), /somebody is left/)
  accepted[1]!.destroy()
  await assertNobodyLeft(answering(port, 0, 0))
})

test('so is one that only the ledger or the primary still counts', async () => {
  const nobody = 1 // no proxy listens there
  await assert.rejects(assertNobodyLeft(answering(nobody, 1, 0), 20), /somebody is left/)
  await assert.rejects(assertNobodyLeft(answering(nobody, 0, 1), 20), /somebody is left/)
  await assertNobodyLeft({ ...answering(nobody, 1, 1), hasEnded: true })
})
