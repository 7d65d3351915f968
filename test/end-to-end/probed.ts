import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { buildClientHello } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret } from '../support/faketls-client.ts'
import { describeAnswer, sendProbe, type Probe } from '../support/probes.ts'
import { startWorld, waitMetric, type World } from './world.ts'

/** Neither the deadline of a handshake nor the clock is what ends a probe here: it is the site. */
const config = {
  tolerateTimeSkewnessMs: 60_000,
  network: { timeout: { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 600_000 } },
} as const

export interface Probed {
  readonly world: World
  /** The hello that a user was served with. */
  readonly used: Buffer
  /** Resolves to how much later the proxy's end came than the site's, in ms; rejects when they can be told apart. */
  readonly assertLooksLikeSite: (probe: Probe) => Promise<number>
}

/** A proxy of two threads before that site, and one user who came and went. */
export async function startProbed(t: TestContext, sitePort: number): Promise<Probed> {
  const world = await startWorld(t, { workers: 2, fronting: { host: '127.0.0.1', port: sitePort }, config })
  const hello = buildClientHello(parseClientSecret(world.secret))
  const user = await connectFakeTls({ port: world.proxy.port, secret: world.secret, dc: 2, hello })
  user.write(Buffer.from('served'))
  await user.read(6) // or its end could overtake its first words
  user.destroy()
  const stoodStillSince = watchStandstills(t)
  return {
    world,
    used: hello.bytes,
    assertLooksLikeSite: async (probe) => {
      for (let attempt = 1; ; attempt++) {
        const beganMs = performance.now()
        const [direct, proxied] = await Promise.all([
          sendProbe(sitePort, probe),
          sendProbe(world.proxy.port, probe),
        ])
        const [seen, expected] = [proxied, direct].map(({ answer, end }) => ({
          answer: describeAnswer(answer),
          end,
        }))
        if (!isDeepStrictEqual(seen, expected) && attempt < MAX_ATTEMPTS && stoodStillSince(beganMs)) continue
        assert.deepEqual(seen, expected, probe.name)
        return proxied.ms - direct.ms
      }
    },
  }
}

/** For a probe that a machine which stood still has kept from its answer: the site has no patience with those. */
const MAX_ATTEMPTS = 3
/** A good part of that patience. */
const STANDSTILL_MS = 150
const LOOK_MS = 20

/** Whether nothing ran in this thread for a while, at any time since then. */
function watchStandstills(t: TestContext): (sinceMs: number) => boolean {
  let lookedMs = performance.now()
  let standstillMs = -Infinity
  const look = (): void => {
    const nowMs = performance.now()
    if (nowMs - lookedMs > LOOK_MS + STANDSTILL_MS) standstillMs = nowMs
    lookedMs = nowMs
  }
  const watch = setInterval(look, LOOK_MS)
  t.after(() => clearInterval(watch))
  return (sinceMs) => {
    look()
    return standstillMs >= sinceMs
  }
}

/** None but that user. */
export async function assertNobodyServed({ proxy }: World): Promise<void> {
  await waitMetric(proxy, 'mtg_handshakes', { outcome: 'ok' }, 1)
  await waitMetric(proxy, 'mtg_handshakes', { outcome: 'obfuscated2' }, 0)
  await waitMetric(proxy, 'mtg_client_connections', {}, 0)
}

/** "median 1 ms, at most 483 ms later" */
export function describeDelays(delaysMs: readonly number[]): string {
  const sorted = delaysMs.toSorted((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0)
  return `${sorted.length} probes ended ${at(0.5)} ms (median) to ${at(1)} ms later than at the site`
}
