import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { buildProbes, flipBit } from '../support/probes.ts'
import { assertNobodyServed, describeDelays, startProbed } from './probed.ts'
import { readMetric, runInBatches } from './world.ts'

/**
 * What anybody without a secret sees is what the site answers him: the same probe is sent to the site itself and to the
 * proxy, and answer and end must be the same. The site gives up on a handshake after 600 ms, the proxy never does, so
 * every probe ends, and how it ends is the site's doing.
 */

const options = { timeout: 120_000 }
const SITE_PATIENCE_MS = 600
const WIDTH = 64

async function startSite(t: TestContext): Promise<number> {
  const read = (name: string): string => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8')
  const certificate = { key: read('probed-site-key.pem'), cert: read('probed-site-cert.pem') }
  const site = createServer({ ...certificate, handshakeTimeout: SITE_PATIENCE_MS }, (_, response) => {
    response.end('the site')
  })
  await once(site.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    site.closeAllConnections()
    site.close()
  })
  return (site.address() as AddressInfo).port // a TCP server has no other kind of address
}

test('whatever a prober sends, the answer and the end are those of the site', options, async (t) => {
  const { world, used, assertLooksLikeSite } = await startProbed(t, await startSite(t))
  const delays: number[] = []
  await runInBatches(buildProbes({ secret: world.secret, used }), WIDTH, async (probe) => {
    delays.push(await assertLooksLikeSite(probe))
  })
  await assertNobodyServed(world)
  t.diagnostic(describeDelays(delays))
})

test('a used hello with any one bit flipped is the site’s to answer', options, async (t) => {
  const { world, used, assertLooksLikeSite } = await startProbed(t, await startSite(t))
  // Every bit of the headers and of the random, where the time is hidden, and every 37th of the rest.
  const positions = Array.from({ length: used.length * 8 }, (_, bit) => bit).filter(
    (bit) => bit < 43 * 8 || bit % 37 === 0,
  )
  await runInBatches(positions, WIDTH, async (bit) => {
    await assertLooksLikeSite({ name: `bit ${bit}`, bytes: flipBit(used, bit) })
  })
  await assertNobodyServed(world)
  // Bits 0 to 5 move the time by 32 s at most: signed and in time, so a replay, or from before the start if moved back.
  const metrics = await world.proxy.metrics()
  const [replays, before] = ['replay', 'before-start'].map((outcome) =>
    readMetric(metrics, 'mtg_handshakes', { outcome }),
  )
  assert.ok(replays! >= 1 && replays! + before! >= 6, `${replays} replays, ${before} from before the start`)
})
