import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { countAccepted } from './kernel-sockets.ts'
import { LIVENESS_LIMIT_MS, sumMetric } from './process-state.ts'
import type { TestProxy } from './proxy.ts'

/** The first look again is soon, the later ones are not: where somebody is still left they are what tests spend their time on. */
const POLL_MS = { first: 5, most: 80 }

/** Every outgoing connection of this thread, clients of tests among them. */
const outgoing = new Set<Socket>()
subscribe('net.client.socket', (message) => {
  const { socket } = message as { socket: Socket } // as Node documents this channel
  outgoing.add(socket)
  socket.once('close', () => outgoing.delete(socket))
})

/** What is counted of connections, each number by somebody else. */
interface Count {
  /** The ledger: authenticated ones. */
  readonly ledger: number
  /** The primary, from what it handed over and what has come to an end. */
  readonly primary: number
  readonly kernel: number
}

const NOTHING: Count = { ledger: 0, primary: 0, kernel: 0 }

/**
 * The end of a test is the end of its clients: those that are still there leave, and then ledger, primary and kernel must
 * agree that nobody is left. To be called while the proxy runs; a proxy that has ended has let go of its sockets.
 */
export async function assertNobodyLeft(
  proxy: Pick<TestProxy, 'port' | 'hasEnded' | 'running' | 'stats' | 'metrics'>,
  limitMs: number = LIVENESS_LIMIT_MS,
): Promise<void> {
  for (const socket of outgoing) if (socket.remotePort === proxy.port) socket.destroy()
  const giveUpMs = performance.now() + limitMs
  for (let pauseMs = POLL_MS.first; ; pauseMs = Math.min(2 * pauseMs, POLL_MS.most)) {
    const count = await look(proxy)
    if (count.ledger === 0 && count.primary === 0 && count.kernel === 0) return
    if (performance.now() > giveUpMs)
      assert.deepEqual(count, NOTHING, 'somebody is left when all clients are gone')
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

/** Stop the proxy at the end of its test, which fails if somebody is left. */
export async function stopExactly(proxy: TestProxy): Promise<void> {
  try {
    await assertNobodyLeft(proxy)
  } finally {
    await proxy.stop()
  }
}

async function look(proxy: Parameters<typeof assertNobodyLeft>[0]): Promise<Count> {
  const { apiAddress, metricsAddress } = proxy.running
  const asks = !proxy.hasEnded
  const ledger = asks && apiAddress !== null ? (await proxy.stats()).total_connections : 0
  if (ledger > 0) return { ...NOTHING, ledger }
  const primary =
    asks && metricsAddress !== null ? sumMetric(await proxy.metrics(), 'mtg_worker_connections') : 0
  // Last, and only when nothing else is left: it is the most expensive one.
  return { ledger, primary, kernel: primary > 0 ? 0 : countAccepted(proxy.port) }
}
