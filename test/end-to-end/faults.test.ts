import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { startDnsServer } from '../support/dns-server.ts'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { GARBAGE_BYTES, startFaultyWay, TRUNCATED_BYTES, type WayFault } from '../support/faulty-way.ts'
import { startRecordingSite } from '../support/front-site.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { RawPeer } from './raw-peer.ts'
import { ask, assertSymptoms, FAULT_TIMEOUTS, MESSAGE, relayEnds, type Symptoms } from './symptoms.ts'
import { startWorld, waitMetric, waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

/**
 * Whatever we depend on fails in every way there is: it ends in a bounded time, there is a line in the log and a counter,
 * and once the fault is over it is over. docs/reliability.md has all of it as a table.
 */
const timeout = 60_000
// They mostly wait.
describe('whatever fails', { concurrency: true }, () => {
  const DC_FAULTS: Record<WayFault, Symptoms | null> = {
    down: {
      reason: 'cannot dial to telegram: refused',
      metric: 'mtg_dc_dial_failures',
      warning: 'cannot dial to telegram',
    },
    reset: relayEnds('telegram', 'far-error'),
    hang: relayEnds('telegram', 'idle'),
    garbage: relayEnds('telegram', 'ended'),
    dribble: null,
    truncate: relayEnds('telegram', 'far-error'),
  }

  test(
    'a data centre that fails takes its own sessions along, and has new ones as soon as it is well',
    { timeout },
    async (t) => {
      const dc = await startStreamDc({ mode: 'echo' })
      t.after(() => dc.close())
      const cases = Object.entries(DC_FAULTS) as [WayFault, Symptoms | null][] // the keys are those of the record
      const ways = await Promise.all(cases.map(() => startFaultyWay(t, dc.port)))
      const { proxy, secret } = await startWorld(t, {
        dcs: Object.fromEntries(ways.map(({ port }, at) => [at + 1, [{ host: '127.0.0.1', port }]])),
        config: { network: { timeout: FAULT_TIMEOUTS } },
      })
      const connect = (at: number): Promise<FakeTlsClient> =>
        connectFakeTls({ port: proxy.port, secret, dc: at + 1 })
      const run = async (fault: WayFault, symptoms: Symptoms | null, at: number): Promise<void> => {
        const way = ways[at]!
        await way.setFault(fault)
        const client = await connect(at)
        const expectedBytes =
          fault === 'garbage' ? GARBAGE_BYTES : fault === 'truncate' ? TRUNCATED_BYTES : MESSAGE.length
        const answer = await ask(client, expectedBytes)
        if (symptoms === null) assert.equal(answer, MESSAGE, fault)
        else {
          assert.notEqual(answer, MESSAGE, fault)
          await client.ended.catch(() => {})
          client.end() // as a client does, and as "ended" needs
          await assertSymptoms(proxy, symptoms, ({ dc: number }) => number === at + 1)
        }
        client.destroy()
        await way.setFault(null)
        await waitUntil(async () => {
          const next = await connect(at).catch(() => null)
          if (next === null) return false
          const isWell = (await ask(next, MESSAGE.length)) === MESSAGE
          next.destroy()
          return isWell
        }, `a session after "${fault}"`)
      }
      await Promise.all(cases.map(([fault, symptoms], at) => run(fault, symptoms, at)))
      await proxy.statsWhen(({ total_connections: total }) => total === 0)
      await waitMetric(proxy, 'mtg_telegram_connections', {}, 0)
    },
  )

  const SITE_FAULTS: Record<WayFault, Symptoms | null> = {
    down: {
      reason: 'cannot dial to the fronting domain: refused',
      metric: 'mtg_domain_fronting_failures',
      warning: 'cannot dial to the fronting domain',
    },
    reset: relayEnds('site', 'far-error'),
    hang: relayEnds('site', 'idle'),
    garbage: relayEnds('site', 'ended'),
    dribble: null,
    truncate: relayEnds('site', 'far-error'),
  }

  test('a fronting site that fails is shown as it is, and harms no user', { timeout }, async (t) => {
    const site = await startRecordingSite({ reply: Buffer.from(MESSAGE) })
    t.after(() => site.close())
    const way = await startFaultyWay(t, site.port)
    const { proxy, secret } = await startWorld(t, {
      fronting: { host: '127.0.0.1', port: way.port },
      config: { network: { timeout: FAULT_TIMEOUTS } },
    })
    const assertShown = async (): Promise<void> => {
      const peer = await RawPeer.connect(proxy.port)
      peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
      assert.equal(String(await peer.waitReceived(MESSAGE.length)), MESSAGE)
      peer.socket.destroy()
    }
    for (const [fault, symptoms] of Object.entries(SITE_FAULTS) as [WayFault, Symptoms | null][]) {
      await way.setFault(fault) // the keys are those of the record
      if (symptoms === null) await assertShown()
      else {
        const peer = await RawPeer.connect(proxy.port)
        peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
        const user = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
        assert.equal(await ask(user, MESSAGE.length), MESSAGE)
        user.destroy()
        await peer.waitOver()
        peer.socket.end()
        await assertSymptoms(proxy, symptoms)
      }
      await way.setFault(null)
      await assertShown()
    }
    await waitMetric(proxy, 'mtg_domain_fronting_connections', {}, 0)
  })

  test(
    'a disk that refuses the state file is said and counted; it is written when the disk is well',
    { timeout },
    async (t) => {
      const folder = makeDirectory(t)
      const stateFile = join(folder, 'state.json')
      const { proxy, secret } = await startWorld(t, { config: { stateFile } })
      const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
      assert.equal(await ask(client, MESSAGE.length), MESSAGE)
      mkdirSync(`${stateFile}.tmp`) // no file can be made of that name
      // A drain begins with saving, and lasts as long as the client stays.
      const stopped = proxy.running.stop()
      await waitMetric(proxy, 'mtg_state_save_failures', {}, 1)
      const warning = 'cannot write the state file: totals of users would not outlive the process'
      assert.ok(proxy.logLines().some(({ level, message }) => level === 'warn' && message === warning))
      assert.equal(await ask(client, MESSAGE.length), MESSAGE)
      rmSync(`${stateFile}.tmp`, { recursive: true })
      client.destroy()
      await stopped
      assert.ok(proxy.logLines().some(({ message }) => message === 'the state file is written again'))
      assert.match(readFileSync(stateFile, 'utf8'), new RegExp(`alice.*\\b${2 * MESSAGE.length}\\b`))
    },
  )

  test('without its name server a proxy serves users all the same', { timeout }, async (t: TestContext) => {
    const dead = await startDnsServer(t, () => null)
    const { proxy, secret } = await startWorld(t, {
      fronting: { host: 'site.example', port: 443 },
      config: {
        network: { timeout: FAULT_TIMEOUTS, dns: { kind: 'udp', host: '127.0.0.1', port: dead.port } },
      },
    })
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    assert.equal(await ask(client, MESSAGE.length), MESSAGE)
    assert.equal(dead.asked.length, 0, 'data centres have addresses')
    client.destroy()
  })
})
