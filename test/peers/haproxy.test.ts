import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startWorld, waitMetric, waitUntil } from '../end-to-end/world.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startPeer } from './support/peer.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000

for (const [option, outcome] of [
  ['send-proxy', 'v1'],
  ['send-proxy-v2', 'v2'],
  ['send-proxy-v2-ssl-cn proxy-v2-options unique-id,crc32c', 'v2'],
] as const) {
  test(`behind HAProxy with ${option} the clients are those in front of it`, { timeout }, async (t) => {
    const folder = makeDirectory(t)
    const listPath = join(folder, 'list')
    writeFileSync(listPath, '127.0.0.66\n')
    const world = await startWorld(t, {
      workers: 2,
      config: {
        bindTo: [{ host: '::', port: 0 }],
        proxyProtocolListener: true,
        proxyProtocolTrusted: ['127.0.0.1/32'],
        defense: {
          blocklist: {
            enabled: true,
            sources: [{ kind: 'file', path: listPath }],
            downloadConcurrency: 1,
            updateEachMs: 86_400_000,
            action: 'close',
          },
        },
      },
    })
    const { proxy, secret } = world
    const port = await findFreePort()
    const path = join(folder, 'haproxy.cfg')
    writeFileSync(
      path,
      'defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n' +
        `listen both\n bind 127.0.0.1:${port}\n bind [::1]:${port}\n unique-id-format %{+X}o%ci%cp%ts\n` +
        // Its health check says LOCAL, which nobody may take for a client.
        ` server mtg 127.0.0.1:${proxy.port} ${option} check inter 200ms check-send-proxy\n`,
    )
    const haproxy = startPeer(t, 'haproxy', ['-db', '-f', path])
    await haproxy.waitForPort(port)

    const ipv4 = await connectFakeTls({ port, secret, dc: 2, localAddress: '127.0.0.7' })
    const ipv6 = await connectFakeTls({ port, secret, dc: 2, host: '::1' })
    for (const client of [ipv4, ipv6]) {
      client.write(Buffer.from('are you there?'))
      assert.equal((await client.read(14)).toString(), 'are you there?')
    }
    await proxy.statsWhen((stats) => stats.users['alice']?.connections === 2)
    await waitMetric(proxy, 'mtg_client_connections', { ip_family: 'ipv6' }, 1)
    // `waitForPort` has connected to HAProxy as well, and left without a word.
    await waitUntil(
      async () => (await proxy.metrics()).includes(`mtg_proxy_protocol{outcome="${outcome}"}`),
      outcome,
    )
    if (outcome === 'v2')
      await waitUntil(async () => (await proxy.metrics()).includes('outcome="local"'), 'a health check')
    for (const client of [ipv4, ipv6]) client.destroy()
    await waitUntil(() => relayed(proxy.logLines()).length === 2, 'both are logged')
    assert.deepEqual(new Set(relayed(proxy.logLines())), new Set(['127.0.0.7', '::1']))

    // The lists are asked about the client, not about HAProxy.
    await assert.rejects(connectFakeTls({ port, secret, dc: 2, localAddress: '127.0.0.66' }))
    await waitMetric(proxy, 'mtg_ip_blocklisted', { ip_list: 'blocklist' }, 1)

    // Who gets around HAProxy is not believed: its address is not the one that is trusted.
    const around = connectFakeTls({
      port: proxy.port,
      secret,
      dc: 2,
      localAddress: '127.0.0.66',
      preamble: Buffer.from('PROXY TCP4 203.0.113.7 127.0.0.1 1 443\r\n'),
    })
    await assert.rejects(around)
    await waitMetric(proxy, 'mtg_proxy_protocol', { outcome: 'untrusted' }, 1)
  })
}

/** Client addresses of the sessions that have ended. */
function relayed(lines: readonly Record<string, unknown>[]): unknown[] {
  return lines
    .filter(({ message, stage }) => message === 'Stream has been finished' && stage === 'relaying')
    .map((line) => line['client-ip'])
}
