import assert from 'node:assert/strict'
import { test } from 'node:test'

import { connectFakeTls } from '../support/faketls-client.ts'
import { RawPeer } from '../end-to-end/raw-peer.ts'
import { startWorld, waitMetric } from '../end-to-end/world.ts'
import { runPeer } from './support/peer.ts'
import { lint, lintOurs } from './support/promtool.ts'

const timeout = 120_000

test(
  'promtool finds nothing in a running exporter but the names of the reference',
  { timeout },
  async (t) => {
    const { proxy, secret, site } = await startWorld(t, { workers: 2 })
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    t.after(() => client.destroy())
    client.write(Buffer.from('hello'))
    await client.read(5)
    const scanner = await RawPeer.connect(proxy.port)
    t.after(() => scanner.socket.destroy())
    scanner.write(Buffer.from('garbage'))
    await (await site.nextConnection()).waitReceived(7)
    // Every kind of family has a series now.
    await waitMetric(proxy, 'mtg_telegram_connections', { dc: '2' }, 1)
    await waitMetric(proxy, 'mtg_domain_fronting_connections', { ip_family: 'ipv4' }, 1)
    await waitMetric(proxy, 'mtg_handshakes', { outcome: 'ok' }, 1)
    assert.deepEqual(lintOurs(await proxy.metrics()), [])
  },
)

test('promtool would find something', () => {
  const problems = lint('# TYPE mtg_bytes_total gauge\nmtg_bytes_total 1\n')
  assert.ok(problems.length > 0)
})

test('the alert rules are valid, and fire when they should and not before', { timeout }, (t) => {
  runPeer('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', 'contrib/prometheus/alerts.yml'])
  t.diagnostic(runPeer('promtool', ['test', 'rules', 'test/peers/prometheus-alerts.test.yml']))
})
