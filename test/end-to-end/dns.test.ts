import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { DnsConfig, ProxyConfig } from '#shared/config'
import { OperatorError } from '#shared/errors'
import { addressRecord, NXDOMAIN, startDnsServer, type TestDnsServer } from '../support/dns-server.ts'
import { startRecordingSite } from '../support/front-site.ts'
import { makeSecret, readMetric, startProxyIn, waitUntil } from './world.ts'
import { defaultConfig, type TestProxy, type TestProxyOptions } from '../support/proxy.ts'

const timeout = 30_000
const SITE = 'site.example'
const PROBE = Buffer.from('GET / HTTP/1.1\r\nHost: site.example\r\n\r\n')

/** Knows one name, at this address. */
function startZone(t: TestContext, address: string): Promise<TestDnsServer> {
  return startDnsServer(t, ({ name, type }) =>
    name === SITE && type === 'A' ? { answers: [addressRecord(name, address)] } : { rcode: NXDOMAIN },
  )
}

const askUdp = (server: TestDnsServer): DnsConfig => ({ kind: 'udp', host: '127.0.0.1', port: server.port })

function proxyOptions(port: number, dns: DnsConfig): TestProxyOptions {
  return {
    users: { alice: makeSecret(1) },
    dcs: { 2: [{ host: '127.0.0.1', port: 9 }] },
    fronting: { host: SITE, port },
    config: { network: { dns } },
    workers: 2,
  }
}

/** A stranger connects and talks. */
function probe(t: TestContext, proxy: TestProxy): void {
  const stranger = connect(proxy.port, '127.0.0.1', () => stranger.write(PROBE))
  stranger.on('error', () => {})
  t.after(() => stranger.destroy())
}

function withDns(options: TestProxyOptions, proxy: TestProxy, dns: DnsConfig): ProxyConfig {
  const config = defaultConfig(options)
  return {
    ...config,
    bindTo: proxy.running.listening,
    network: { ...config.network, dns },
    domainFronting: { ...config.domainFronting, host: SITE },
  }
}

test('strangers are led to the site that the configured resolver names', { timeout }, async (t) => {
  const site = await startRecordingSite()
  t.after(() => site.close())
  const zone = await startZone(t, '127.0.0.1')
  const proxy = await startProxyIn(t, proxyOptions(site.port, askUdp(zone)))
  probe(t, proxy)
  const reached = await site.nextConnection()
  assert.deepEqual(await reached.waitReceived(PROBE.length), PROBE)
  const read = async (name: string, labels = {}): Promise<number> =>
    readMetric(await proxy.metrics(), name, labels)
  for (const outcome of ['ok', 'no-address'])
    await waitUntil(
      async () => (await read('mtg_dns_queries', { transport: 'udp', outcome })) === 1,
      'both questions are counted',
    )
  // Every thread remembers: of so many strangers some come to a thread that was asked before.
  for (let i = 0; i < 6; i++) {
    probe(t, proxy)
    await site.nextConnection()
  }
  assert.ok(zone.askedFor(SITE, 'A').length <= 2)
  await waitUntil(async () => (await read('mtg_dns_cache_hits')) > 0, 'what is remembered is counted')
})

test('a reload takes up another resolver for strangers who come then', { timeout }, async (t) => {
  const first = await startRecordingSite()
  t.after(() => first.close())
  const second = await startRecordingSite({ host: '127.0.0.2', port: first.port })
  t.after(() => second.close())
  const [here, there] = [await startZone(t, '127.0.0.1'), await startZone(t, '127.0.0.2')]
  const options = proxyOptions(first.port, askUdp(here))
  const proxy = await startProxyIn(t, options)
  probe(t, proxy)
  await first.nextConnection()
  await proxy.running.reload(withDns(options, proxy, askUdp(there)))
  probe(t, proxy)
  await second.nextConnection()
  assert.equal(first.connections.length, 1)
  assert.deepEqual(await proxy.running.resolver.resolve(SITE), ['127.0.0.2'])
})

test(
  'a name server with a name that nobody knows is an error of the start, and of a reload',
  { timeout },
  async (t) => {
    const unknown: DnsConfig = { kind: 'tls', host: 'dns.invalid', port: 853 }
    const isClear = (error: unknown): boolean => {
      assert.ok(error instanceof OperatorError)
      assert.match(error.message, /^network\.dns: cannot resolve dns\.invalid: .*give its address/)
      return true
    }
    await assert.rejects(startProxyIn(t, proxyOptions(9, unknown)), isClear)
    const site = await startRecordingSite()
    t.after(() => site.close())
    const options = proxyOptions(site.port, askUdp(await startZone(t, '127.0.0.1')))
    const proxy = await startProxyIn(t, options)
    await assert.rejects(proxy.running.reload(withDns(options, proxy, unknown)), isClear)
    probe(t, proxy)
    await site.nextConnection()
  },
)
