import { setTimeout as sleep } from 'node:timers/promises'

import { connectFakeTls } from '../test/support/faketls-client.ts'
import type { FakeTlsClient } from '../test/support/faketls-client.ts'
import { format } from './support/bench.ts'
import type { Bench, LoadTarget } from './support/bench.ts'

/** What does an idle pair of connections (client and data centre) hold in memory? */

const MESSAGE_BYTES = 200
/** Opened and closed before the first reading, so that code and pools are not counted as connections. */
const WARM_UP_PAIRS = 300
/** The garbage of the handshakes goes when V8 finds the process idle. */
const SETTLE_MS = 4000

export const idleMemory: Bench = {
  name: 'idle-memory',
  dcArguments: () => ['--mode', 'echo'],
  async prepare(target, options) {
    const warmUp = await openPairs(target, WARM_UP_PAIRS, options.connections, () => {})
    for (const client of warmUp) client.destroy()
    await sleep(SETTLE_MS)
    return async (progress) => {
      const startedAt = performance.now()
      const pairs = await openPairs(target, options.count, options.connections, progress)
      await sleep(SETTLE_MS)
      const lost = pairs.filter((client) => client.socket.destroyed).length
      if (lost > 0) throw new Error(`${lost} idle connections were closed`)
      return { units: pairs.length, wallSeconds: (performance.now() - startedAt) / 1000 }
    }
  },
  compute: ({ rssBeforeKib, rssAfterKib, load }) => ({
    rssKibPerPair: (rssAfterKib - rssBeforeKib) / load.units,
    rssBeforeMib: rssBeforeKib / 1024,
    rssAfterMib: rssAfterKib / 1024,
  }),
  describe(figures) {
    const before = format(figures, 'rssBeforeMib', 0)
    const after = format(figures, 'rssAfterMib', 0)
    return `${format(figures, 'rssKibPerPair', 1)} KiB RSS per idle pair (${before} MiB before, ${after} MiB with all)`
  },
}

/** Connections that have exchanged one message each. */
async function openPairs(
  target: LoadTarget,
  count: number,
  concurrency: number,
  progress: (share: number) => void,
): Promise<FakeTlsClient[]> {
  const clients: FakeTlsClient[] = []
  let started = 0
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1
      const client = await connectFakeTls({ ...target, dc: 2, firstPayload: Buffer.alloc(MESSAGE_BYTES) })
      await client.read(MESSAGE_BYTES)
      clients.push(client)
      progress(clients.length / count)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  return clients
}
