import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

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
  'dns_queries',
  'dns_cache_hits',
  'worker_hangs',
  'domain_fronting_failures',
  'relays_ended',
  'dc_update_failures',
  'clock_steps',
  'descriptors_exhausted',
  'handshakes_limited',
  'user_bytes',
  'user_refusals',
]

/** So does the library call three gauges of the process, and everybody's dashboards for Node.js. */
const GAUGES_WITH_TOTAL = ['active_handles', 'active_requests', 'active_resources']

const ALLOWED: ReadonlySet<string> = new Set([
  ...[...WITHOUT_TOTAL, ...OURS_WITHOUT_TOTAL].map(
    (name) => `mtg_${name} counter metrics should have "_total" suffix`,
  ),
  ...GAUGES_WITH_TOTAL.map(
    (name) => `nodejs_${name}_total non-counter metrics should not have "_total" suffix`,
  ),
])

/** The lines that promtool complains with. It ends with 3 when there are some. */
export function lint(metrics: string): string[] {
  const { stderr, status, error } = spawnSync('promtool', ['check', 'metrics'], {
    input: metrics,
    encoding: 'utf8',
  })
  assert.equal(error, undefined)
  assert.ok(status === 0 || status === 3, `status ${status}: ${stderr}`)
  return stderr.split('\n').filter((line) => line !== '')
}

/** What promtool finds in a text, but for the names that are as they are. */
export function lintOurs(metrics: string): string[] {
  return lint(metrics).filter((line) => !ALLOWED.has(line))
}
