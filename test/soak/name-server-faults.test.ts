import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawPeer } from '../end-to-end/raw-peer.ts'
import { assertSymptoms, FAULT_TIMEOUTS, MESSAGE } from '../end-to-end/symptoms.ts'
import { makeSecret, startProxyIn, waitUntil } from '../end-to-end/world.ts'
import { buildClientHello } from '../support/client-hello.ts'
import { addressRecord, NXDOMAIN, SERVFAIL, startDnsServer, type Reply } from '../support/dns-server.ts'
import { startRecordingSite } from '../support/front-site.ts'

const timeout = 60_000

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
        network: { timeout: FAULT_TIMEOUTS, dns: { kind: 'udp', host: '127.0.0.1', port: server.port } },
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
