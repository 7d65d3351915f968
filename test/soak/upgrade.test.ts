import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runUpgradeStorm } from '../support/upgrade-storm.ts'

test(
  'three upgrades beside 200 clients and 50 new ones a second: nobody is cut, nobody is refused, every byte is counted',
  { timeout: 120_000 },
  async (t) => {
    const { newClients, bytes } = await runUpgradeStorm(t, {
      clients: 200,
      newPerSecond: 50,
      upgrades: 3,
      pauseMs: 1000,
    })
    t.diagnostic(`${newClients} new clients, ${bytes} bytes`)
    assert.ok(newClients > 0)
  },
)
