import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HYBRID_HELLO_BYTES } from '../support/client-hello.ts'
import { connectFakeTls, FakeTlsError, type FakeTlsClient } from '../support/faketls-client.ts'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { encodeV1 } from '../support/proxy-header.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { startTlsSite } from '../support/tls-site.ts'
import { makeSecret, startProxyIn, waitMetric, waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const SUITE = 0x1303
const HYBRID_GROUP = 0x11ec

test(
  'a thread in the place of a dead one has the users, the lists and the front that are known by then',
  { timeout: 60_000 },
  async (t) => {
    const site = await startTlsSite({
      ecdhCurve: 'X25519MLKEM768:X25519',
      ciphers: 'TLS_CHACHA20_POLY1305_SHA256',
      ALPNProtocols: ['h2'],
    })
    t.after(() => site.close())
    const dc = await startStreamDc({ mode: 'echo' })
    t.after(() => dc.close())
    const folder = makeDirectory(t)
    const path = join(folder, 'list')
    writeFileSync(path, '203.0.113.66')
    const list = { downloadConcurrency: 1, updateEachMs: 86_400_000, action: 'close' } as const
    const users = { alice: makeSecret(1), bob: makeSecret(2) }
    const proxy = await startProxyIn(t, {
      users,
      dcs: { 2: [{ host: '127.0.0.1', port: dc.port }] },
      fronting: { host: '127.0.0.1', port: site.port },
      workers: 1,
      workerEntry: FAULTY_SERVE,
      config: {
        proxyProtocolListener: true,
        defense: {
          doppelganger: {
            urls: [],
            repeatsPerRaid: 1,
            raidEachMs: 21_600_000,
            drs: false,
            pacing: 'burst',
            learnFront: true,
          },
        },
      },
    })
    const faults = new Faults(proxy.port)
    t.after(() => faults.close())
    const connect = (address: string): Promise<FakeTlsClient> =>
      connectFakeTls({
        port: proxy.port,
        secret: users.alice,
        dc: 2,
        helloSize: HYBRID_HELLO_BYTES,
        preamble: encodeV1(address, 1),
      })
    await waitUntil(() => proxy.logText().includes('updated server flights'), 'the front is known')
    const { config } = proxy
    await proxy.running.reload({
      ...config,
      users: config.users.slice(0, 1),
      defense: {
        ...config.defense,
        blocklist: { ...list, enabled: true, sources: [{ kind: 'file', path }] },
      },
    })
    await waitMetric(proxy, 'mtg_iplist_size', { ip_list: 'blocklist' }, 1)

    const started = faults.next(({ kind }) => kind === 'started')
    faults.inject(0, { kind: 'exit' })
    assert.deepEqual(await started, { kind: 'started', thread: 0, heapLimitMb: 1024 })
    await waitMetric(proxy, 'mtg_worker_restarts', {}, 1)
    // Until it is there nobody takes connections.
    const api = `http://127.0.0.1:${proxy.running.apiAddress?.port}`
    await waitUntil(async () => (await fetch(`${api}/health/ready`)).ok, 'its successor')

    const client = await connect('203.0.113.7')
    client.write(Buffer.from('hello'))
    assert.equal(String(await client.read(5)), 'hello')
    assert.deepEqual([client.flight.cipher, client.flight.group], [SUITE, HYBRID_GROUP])
    client.destroy()
    await assert.rejects(connect('203.0.113.66'), FakeTlsError)
    await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 1)
    const removed = connectFakeTls({
      port: proxy.port,
      secret: users.bob,
      dc: 2,
      preamble: encodeV1('203.0.113.7', 1),
    })
    await assert.rejects(removed, FakeTlsError)
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'digest' }, 1)
  },
)
