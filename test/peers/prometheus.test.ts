import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

import { connectFakeTls } from '../support/faketls-client.ts'
import { RawPeer } from '../end-to-end/raw-peer.ts'
import { startWorld, waitMetric } from '../end-to-end/world.ts'
import { runPeer } from './support/peer.ts'

const timeout = 120_000

/** Names that the Go program has given to its counters; dashboards of operators rely on them (decision O4). */
const WITHOUT_TOTAL = [
  'telegram_traffic',
  'domain_fronting_traffic',
  'domain_fronting',
  'concurrency_limited',
  'ip_blocklisted',
  'replay_attacks',
]

/** Ours follow them, so that one exporter has one custom. */
const OURS_WITHOUT_TOTAL = [
  'replay_set_evictions',
  'handshakes',
  'hand_offs_failed',
  'accept_errors',
  'dc_dial_failures',
  'worker_restarts',
  'state_save_failures',
  'user_bytes',
  'user_refusals',
]

/** So does the library call three gauges of the process, and everybody's dashboards for Node.js. */
const GAUGES_WITH_TOTAL = ['active_handles', 'active_requests', 'active_resources']

const ALLOWED = new Set([
  ...[...WITHOUT_TOTAL, ...OURS_WITHOUT_TOTAL].map(
    (name) => `mtg_${name} counter metrics should have "_total" suffix`,
  ),
  ...GAUGES_WITH_TOTAL.map(
    (name) => `nodejs_${name}_total non-counter metrics should not have "_total" suffix`,
  ),
])

/** The lines that promtool complains with. It ends with 3 when there are some. */
function lint(metrics: string): string[] {
  const { stderr, status, error } = spawnSync('promtool', ['check', 'metrics'], {
    input: metrics,
    encoding: 'utf8',
  })
  assert.equal(error, undefined)
  assert.ok(status === 0 || status === 3, `status ${status}: ${stderr}`)
  return stderr.split('\n').filter((line) => line !== '')
}

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
    const metrics = await proxy.metrics()
    assert.deepEqual(
      lint(metrics).filter((line) => !ALLOWED.has(line)),
      [],
    )
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
