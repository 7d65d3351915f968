import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildClientHello } from '../support/client-hello.ts'
import { connectFakeTls, parseClientSecret, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { RawPeer } from './raw-peer.ts'
import { startWorld, waitMetric, waitUntil } from './world.ts'

const timeout = 60_000
const HOUR_MS = 3_600_000
const systemNow = Date.now

async function echo(client: FakeTlsClient): Promise<void> {
  client.write(Buffer.from('what time is it?'))
  assert.equal(String(await client.read(16)), 'what time is it?')
}

test(
  'a clock that is set by an hour makes hellos stale until it is right again, and nothing else',
  { timeout },
  async (t) => {
    const idleMs = 60_000 // far below the hour
    const { proxy, site, secret } = await startWorld(t, {
      workerEntry: FAULTY_SERVE,
      config: {
        network: { timeout: { tcpMs: 5000, httpMs: 5000, handshakeMs: 10_000, idleMs } },
        throttle: { maxConnections: 100, checkIntervalMs: 1000, action: 'close' },
      },
    })
    const faults = new Faults(proxy.port)
    t.after(() => faults.close())
    t.after(() => (Date.now = systemNow))
    const { key, host } = parseClientSecret(secret)
    const setClock = async (offsetMs: number): Promise<void> => {
      Date.now = () => systemNow() + offsetMs // the primary is in this thread
      await faults.arm(0, { kind: 'set-clock', offsetMs })
    }
    const connect = (offsetMs: number): Promise<FakeTlsClient> =>
      connectFakeTls({
        port: proxy.port,
        secret,
        dc: 2,
        unixTime: Math.floor((systemNow() + offsetMs) / 1000),
      })
    const seesTheSite = async (bytes: Buffer): Promise<void> => {
      const peer = await RawPeer.connect(proxy.port)
      peer.write(bytes)
      const visitor = await site.nextConnection()
      assert.ok(bytes.equals(await visitor.waitReceived(bytes.length)))
      peer.socket.destroy()
    }

    const used = buildClientHello({ key, host, unixTime: Math.floor(systemNow() / 1000) })
    const first = await connectFakeTls({ port: proxy.port, secret, dc: 2, hello: used })
    await echo(first)
    const startedAt = (await proxy.stats()).started_at
    let stale = 0
    for (const offsetMs of [HOUR_MS, -HOUR_MS]) {
      await setClock(offsetMs)
      stale += 1
      const hello = buildClientHello({ key, host, unixTime: Math.floor(systemNow() / 1000) })
      await seesTheSite(hello.bytes)
      await waitMetric(proxy, 'mtg_handshakes', { outcome: 'stale-time' }, stale)
      if (offsetMs > 0) {
        const agreeing = await connect(offsetMs)
        await echo(agreeing)
        agreeing.destroy()
      }
      await waitMetric(proxy, 'mtg_clock_steps', {}, 2 * stale - 1)
      await echo(first)
      const stats = await proxy.stats()
      assert.ok(stats.uptime_seconds < 60, 'the uptime is no difference of two readings of the clock')
      assert.equal(stats.started_at, startedAt)

      await setClock(0)
      await waitMetric(proxy, 'mtg_clock_steps', {}, 2 * stale)
      const next = await connect(0)
      await echo(next)
      next.destroy()
    }
    await seesTheSite(used.bytes)
    await waitMetric(proxy, 'mtg_replay_attacks', {}, 1)
    await waitUntil(async () => (await proxy.stats()).total_connections === 1, 'the first one alone')
    await echo(first)

    const steps = proxy
      .logLines()
      .filter(({ message }) => String(message).startsWith('the system clock was set'))
    const hours = steps.map((line) => Math.round(Number(line['step_ms']) / HOUR_MS))
    assert.deepEqual(hours, [1, -1, -1, 1])
  },
)
