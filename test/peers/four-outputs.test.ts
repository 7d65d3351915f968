import assert from 'node:assert/strict'
import { test } from 'node:test'

import { moveAndCompare } from '../end-to-end/four-outputs.ts'
import type { StatsJson } from '../support/proxy.ts'
import { lintOurs } from './support/promtool.ts'
import { BASIC, startStatsNginx, type Get } from './support/stats-nginx.ts'

/** Slower than the limit on requests of that file. */
const PAUSE_MS = 250

test(
  'the four outputs agree, /stats read through nginx and the metrics checked by promtool',
  { timeout: 120_000 },
  async (t) => {
    let get: Promise<Get> | null = null
    await moveAndCompare(t, {
      stats: async (proxy) => {
        get ??= startStatsNginx(t, proxy.running.apiAddress!)
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
        const { status, body } = await (await get)('/proxy/stats', BASIC)
        assert.equal(status, 200, body)
        return JSON.parse(body) as StatsJson
      },
      metrics: async (proxy) => {
        const metrics = await proxy.metrics()
        assert.deepEqual(lintOurs(metrics), [])
        return metrics
      },
    })
  },
)
