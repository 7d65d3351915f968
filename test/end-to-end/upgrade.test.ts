import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runUpgradeStorm } from '../support/upgrade-storm.ts'

const timeout = 60_000

test(
  'three upgrades under load: nobody is cut, nobody is refused, every byte is counted',
  { timeout },
  async (t) => {
    const { newClients, bytes } = await runUpgradeStorm(t, {
      clients: 20,
      newPerSecond: 50,
      upgrades: 3,
      pauseMs: 100,
    })
    t.diagnostic(`${newClients} new clients, ${bytes} bytes`)
    assert.ok(newClients > 0)
  },
)
