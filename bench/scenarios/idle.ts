import { setTimeout as sleep } from 'node:timers/promises'

import { EchoClient } from '../support/echo-client.ts'
import { openLine } from '../support/line.ts'
import { format, type LoadTarget, type ReportProgress, type Scenario } from '../support/scenario.ts'

/** What does an idle relayed connection (client and data centre) hold in memory? */

/** Opened and closed before the first reading, so that code and pools are not counted as connections. */
const WARM_UP_CONNECTIONS = 300
/** The garbage of the handshakes goes when V8 finds the process idle. */
const SETTLE_MS = 4000

export const idle: Scenario = {
  name: 'idle',
  summary: 'memory of an idle relayed connection',
  defaults: { connections: 32, count: 5000, seconds: SETTLE_MS / 1000 },
  quick: { connections: 8, count: 100, seconds: 0.2 },
  cpuFigures: [],
  phases: ['idle'],
  async prepare(target, { connections, count, seconds }) {
    const warmUp = await openAll(target, Math.min(WARM_UP_CONNECTIONS, count), connections, () => {})
    for (const client of warmUp) client.close()
    await sleep(seconds * 1000)
    return {
      async idle(progress) {
        const startedAt = performance.now()
        const clients = await openAll(target, count, connections, progress)
        await sleep(seconds * 1000)
        const lost = clients.filter((client) => client.isClosed).length
        if (lost > 0) throw new Error(`${lost} idle connections were closed`)
        return { units: clients.length, wallSeconds: (performance.now() - startedAt) / 1000 }
      },
    }
  },
  compute({ idle }) {
    if (idle === undefined) return {}
    const { rssBeforeKib, rssAfterKib, load } = idle
    return {
      rssKibPerConnection: (rssAfterKib - rssBeforeKib) / load.units,
      rssBeforeMib: rssBeforeKib / 1024,
      rssAfterMib: rssAfterKib / 1024,
    }
  },
  describe(figures) {
    const before = format(figures, 'rssBeforeMib', 0)
    const after = format(figures, 'rssAfterMib', 0)
    const each = format(figures, 'rssKibPerConnection', 1)
    return [`${each} KiB RSS per idle relayed connection (${before} MiB before, ${after} MiB with all)`]
  },
}

/** Connections that have exchanged one message each. */
async function openAll(
  target: LoadTarget,
  count: number,
  concurrency: number,
  progress: ReportProgress,
): Promise<EchoClient[]> {
  const clients: EchoClient[] = []
  let started = 0
  const lane = async (): Promise<void> => {
    while (started < count) {
      started += 1
      clients.push(await EchoClient.open(target, openLine))
      progress(clients.length / count)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane))
  return clients
}
