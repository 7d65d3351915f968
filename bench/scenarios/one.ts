import { setTimeout as sleep } from 'node:timers/promises'

import { format, MIB, type Scenario } from '../support/scenario.ts'
import { computeTransfer, describeTransfer } from '../support/transfer.ts'
import { openStream } from './download.ts'

/** How fast is one client, who comes back after a pause and fetches a large file? */

/** Longer than what a pacing proxy of ours takes for a pause, so that it begins anew. */
const PAUSE_MS = 1600
const MEGABYTE = 1e6

export const one: Scenario = {
  name: 'one',
  summary: 'the download of one connection: MB/s',
  defaults: { mib: 200 },
  quick: { mib: 16 },
  cpuFigures: ['cpuSecondsPerGib'],
  phases: ['one'],
  async prepare(target, { mib, verify }) {
    const stream = await openStream(target, verify)
    await stream((mib * MIB) / 4, () => {})
    return {
      async one(progress) {
        await sleep(PAUSE_MS)
        const startedAt = performance.now()
        const units = mib * MIB
        let received = 0
        await stream(units, (bytes) => progress((received += bytes) / units))
        return { units, wallSeconds: (performance.now() - startedAt) / 1000 }
      },
    }
  },
  compute({ one }) {
    if (one === undefined) return {}
    return { megabytesPerSecond: one.load.units / MEGABYTE / one.load.wallSeconds, ...computeTransfer(one) }
  },
  describe: (figures) => [
    `${format(figures, 'megabytesPerSecond', 0)} MB/s behind a pause; ${describeTransfer(figures).join()}`,
  ],
}
