import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { buildClientHello } from '../support/client-hello.ts'
import { addressRecord, NXDOMAIN, SERVFAIL, startDnsServer, type Reply } from '../support/dns-server.ts'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { GARBAGE_BYTES, startFaultyWay, TRUNCATED_BYTES, type WayFault } from '../support/faulty-way.ts'
import { startRecordingSite } from '../support/front-site.ts'
import type { TestProxy } from '../support/proxy.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { RawPeer } from './raw-peer.ts'
import { makeSecret, readMetric, startProxyIn, startWorld, waitMetric, waitUntil } from './world.ts'

/**
 * Whatever we depend on fails in every way there is: it ends in a bounded time, there is a line in the log and a counter,
 * and once the fault is over it is over. docs/reliability.md has all of it as a table.
 */
const timeout = 60_000
const TIMEOUTS = { tcpMs: 1000, httpMs: 1000, idleMs: 1500, handshakeMs: 10_000 }
const MESSAGE = 'is anybody there?'

const finished = (proxy: TestProxy): Record<string, unknown>[] =>
  proxy.logLines().filter(({ message }) => message === 'Stream has been finished')

/** What came back for a message, as far as anything came. */
async function ask(client: FakeTlsClient, bytes: number): Promise<string> {
  client.write(Buffer.from(MESSAGE))
  return String(await client.read(bytes).catch(() => ''))
}

interface Symptoms {
  /** Of the log line of the connection. */
  readonly reason: string
  /** The series that counts it. */
  readonly metric: string
  readonly labels?: Record<string, string>
  /** In the log above debug level. */
  readonly warning?: string
}

const relayEnds = (to: 'telegram' | 'site', how: string): Symptoms => ({
  reason: how,
  metric: 'mtg_relays_ended',
  labels: { to, how },
})

async function assertSymptoms(
  proxy: TestProxy,
  { reason, metric, labels = {}, warning }: Symptoms,
  isMine: (line: Record<string, unknown>) => boolean = () => true,
): Promise<void> {
  await waitUntil(() => finished(proxy).some((line) => line['reason'] === reason && isMine(line)), reason)
  await waitUntil(async () => readMetric(await proxy.metrics(), metric, labels) > 0, metric)
  if (warning === undefined) return
  const lines = proxy.logLines().filter(({ level }) => level === 'warn')
  assert.ok(
    lines.some(({ message, error }) => message === warning && error !== undefined),
    warning,
  )
}

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
        config: { network: { timeout: TIMEOUTS } },
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
      config: { network: { timeout: TIMEOUTS } },
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

  type NameFault = 'hang' | 'garbage' | 'no-name' | 'fails' | 'slow'

  /** Whoever waits for a name waits as long as for an address; that the server is silent is known after five seconds. */
  const NAME_FAULTS: Record<NameFault, { reply: Reply; outcome: string } | null> = {
    hang: { reply: null, outcome: 'timeout' },
    garbage: { reply: Buffer.from('no DNS message at all'), outcome: 'timeout' },
    'no-name': { reply: { rcode: NXDOMAIN }, outcome: 'no-address' },
    fails: { reply: { rcode: SERVFAIL }, outcome: 'failed' },
    slow: null,
  }

  test(
    'a name server that fails keeps strangers from the site and nobody else, until it is well',
    { timeout },
    async (t) => {
      const site = await startRecordingSite({ reply: Buffer.from(MESSAGE) })
      t.after(() => site.close())
      const isWell = new Set<string>()
      const server = await startDnsServer(t, async ({ name, type }) => {
        const fault = NAME_FAULTS[name.split('.')[0] as NameFault] // the test asks for no others
        if (fault !== null && !isWell.has(name)) return fault.reply
        if (fault === null) await new Promise((resolve) => setTimeout(resolve, 150)) // a slow server
        return type === 'A' ? { answers: [addressRecord(name, '127.0.0.1', 1)] } : {}
      })
      const cases = Object.entries(NAME_FAULTS) as [NameFault, (typeof NAME_FAULTS)[NameFault]][] // its own keys
      const hostOf = (fault: NameFault): string => `${fault}.example`
      const proxy = await startProxyIn(t, {
        users: Object.fromEntries(cases.map(([fault], at) => [fault, makeSecret(at, hostOf(fault))])),
        dcs: {},
        fronting: { host: '', port: site.port },
        config: {
          domainFronting: { host: null },
          network: { timeout: TIMEOUTS, dns: { kind: 'udp', host: '127.0.0.1', port: server.port } },
        },
      })
      /** A stranger who names a host of ours and has no key. */
      const visit = async (fault: NameFault): Promise<string> => {
        const peer = await RawPeer.connect(proxy.port)
        peer.write(buildClientHello({ key: Buffer.alloc(16, 0xff), host: hostOf(fault) }).bytes)
        const answer = await peer.waitReceived(MESSAGE.length).catch(() => '')
        peer.socket.destroy()
        return String(answer)
      }
      const run = async ([fault, symptoms]: (typeof cases)[number]): Promise<void> => {
        if (symptoms === null) return assert.equal(await visit(fault), MESSAGE)
        assert.equal(await visit(fault), '')
        await assertSymptoms(proxy, {
          reason: 'cannot dial to the fronting domain: unresolved',
          metric: 'mtg_domain_fronting_failures',
          warning: 'cannot dial to the fronting domain',
        })
        await assertSymptoms(proxy, {
          reason: 'cannot dial to the fronting domain: unresolved',
          metric: 'mtg_dns_queries',
          labels: { transport: 'udp', outcome: symptoms.outcome },
        })
        isWell.add(hostOf(fault))
        await waitUntil(async () => (await visit(fault)) === MESSAGE, `the site after "${fault}"`)
      }
      await Promise.all(cases.map(run))
    },
  )

  test(
    'a disk that refuses the state file is said and counted; it is written when the disk is well',
    { timeout },
    async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'mtg-multi-faults-'))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
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
      config: { network: { timeout: TIMEOUTS, dns: { kind: 'udp', host: '127.0.0.1', port: dead.port } } },
    })
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    assert.equal(await ask(client, MESSAGE.length), MESSAGE)
    assert.equal(dead.asked.length, 0, 'data centres have addresses')
    client.destroy()
  })
})
