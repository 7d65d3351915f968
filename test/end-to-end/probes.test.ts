import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { buildClientHello } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret } from '../support/faketls-client.ts'
import { buildProbes, describeAnswer, flipBit, sendProbe, type Probe } from '../support/probes.ts'
import { readMetric, runInBatches, startWorld, waitMetric, type World } from './world.ts'

/**
 * What anybody without a secret sees is what the site answers him: the same probe is sent to the site itself and to the
 * proxy, and answer and end must be the same. The site gives up on a handshake after 600 ms, the proxy never does, so
 * every probe ends, and how it ends is the site's doing.
 */

const options = { timeout: 120_000 }
const SITE_PATIENCE_MS = 600
const WIDTH = 64
const config = {
  tolerateTimeSkewnessMs: 60_000,
  network: { timeout: { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 600_000 } },
} as const

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

/** A proxy before that site, and a hello that a user was served with. */
async function startProbed(t: TestContext): Promise<{ world: World; sitePort: number; used: Buffer }> {
  const sitePort = await startSite(t)
  const world = await startWorld(t, { workers: 2, fronting: { host: '127.0.0.1', port: sitePort }, config })
  const hello = buildClientHello(parseClientSecret(world.secret))
  const user = await connectFakeTls({ port: world.proxy.port, secret: world.secret, dc: 2, hello })
  user.destroy()
  return { world, sitePort, used: hello.bytes }
}

/** @returns by how much the proxy's end came later than the site's, in ms */
async function assertLooksLikeSite(sitePort: number, proxyPort: number, probe: Probe): Promise<number> {
  const [direct, proxied] = await Promise.all([sendProbe(sitePort, probe), sendProbe(proxyPort, probe)])
  assert.deepEqual(describeAnswer(proxied.answer), describeAnswer(direct.answer), probe.name)
  assert.equal(proxied.end, direct.end, probe.name)
  return proxied.ms - direct.ms
}

/** None but the user whose hello is repeated. */
async function assertNobodyServed({ proxy }: World): Promise<void> {
  await waitMetric(proxy, 'mtg_handshakes', { outcome: 'ok' }, 1)
  await waitMetric(proxy, 'mtg_handshakes', { outcome: 'obfuscated2' }, 0)
  await waitMetric(proxy, 'mtg_client_connections', {}, 0)
}

test('whatever a prober sends, the answer and the end are those of the site', options, async (t) => {
  const { world, sitePort, used } = await startProbed(t)
  const probes = buildProbes({ secret: world.secret, used })
  const later: number[] = []
  await runInBatches(probes, WIDTH, async (probe) => {
    later.push(await assertLooksLikeSite(sitePort, world.proxy.port, probe))
  })
  await assertNobodyServed(world)
  t.diagnostic(`${probes.length} probes; ended ${Math.max(...later).toFixed(0)} ms later at most`)
})

test('a used hello with any one bit flipped is the site’s to answer', options, async (t) => {
  const { world, sitePort, used } = await startProbed(t)
  // Every bit of the headers and of the random, where the time is hidden, and every 37th of the rest.
  const positions = Array.from({ length: used.length * 8 }, (_, bit) => bit).filter(
    (bit) => bit < 43 * 8 || bit % 37 === 0,
  )
  await runInBatches(positions, WIDTH, async (bit) => {
    const probe = { name: `bit ${bit}`, bytes: flipBit(used, bit) }
    await assertLooksLikeSite(sitePort, world.proxy.port, probe)
  })
  await assertNobodyServed(world)
  // Bits 0 to 5 move the time by 32 s at most: signed and in time, so a replay, or from before the start if moved back.
  const metrics = await world.proxy.metrics()
  const [replays, before] = ['replay', 'before-start'].map((outcome) =>
    readMetric(metrics, 'mtg_handshakes', { outcome }),
  )
  assert.ok(replays! >= 1 && replays! + before! >= 6, `${replays} replays, ${before} from before the start`)
})
