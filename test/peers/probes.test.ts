import { test } from 'node:test'
import { assertNobodyServed, describeDelays, startProbed } from '../end-to-end/probed.ts'
import { HOST, runInBatches } from '../end-to-end/world.ts'
import { buildProbes, flipBit } from '../support/probes.ts'
import { startNginxSite } from './support/nginx-site.ts'

/** The table of test/end-to-end/probes.test.ts, before Debian's nginx. */

const options = { timeout: 120_000 }
const SITE_PATIENCE_S = 2
const WIDTH = 48

test('whatever a prober sends, the answer and the end are those of nginx', options, async (t) => {
  const { port } = await startNginxSite(t, HOST, SITE_PATIENCE_S)
  const { world, used, assertLooksLikeSite } = await startProbed(t, port)
  const delays: number[] = []
  await runInBatches(buildProbes({ secret: world.secret, used }), WIDTH, async (probe) => {
    delays.push(await assertLooksLikeSite(probe))
  })
  await assertNobodyServed(world)
  t.diagnostic(describeDelays(delays))
})

test('a used hello with any one bit flipped is nginx’s to answer', options, async (t) => {
  const { port } = await startNginxSite(t, HOST, SITE_PATIENCE_S)
  const { world, used, assertLooksLikeSite } = await startProbed(t, port)
  // The time, and a sample of everything else.
  const positions = Array.from({ length: used.length * 8 }, (_, bit) => bit).filter(
    (bit) => (bit >= 39 * 8 && bit < 43 * 8) || bit % (bit < 43 * 8 ? 5 : 61) === 0,
  )
  await runInBatches(positions, WIDTH, async (bit) => {
    await assertLooksLikeSite({ name: `bit ${bit}`, bytes: flipBit(used, bit) })
  })
  await assertNobodyServed(world)
})
