import { test } from 'node:test'
import { runStorm } from '../support/storm.ts'

/** More of them than in test/end-to-end/storm.test.ts; 20,000 are storm.ts, here. */
test(
  'of 2000 clients, all at once, none is lost and nothing of them stays',
  { timeout: 120_000 },
  async (t) => {
    const { clientsPerSecond } = await runStorm(2000, 2000)
    t.diagnostic(`${Math.round(clientsPerSecond)} clients a second`)
  },
)
