import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { listFamilies } from '#primary/stats/list-families'
import { CounterSums, createCountersMemory } from '#shared/state/counters'
import { HISTOGRAMS } from '#shared/state/histogram'
import { METRICS } from '#shared/state/layout'
import { createLedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'

const PAGE = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8')

const describe = (name: string, kind: string, labels: readonly string[], help: string): string =>
  `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ') || '–'} | ${help} |`

test('the page on metrics has every family as it is', () => {
  const families = listFamilies({
    sums: new CounterSums(createCountersMemory(1)),
    dcAddresses: () => [],
    ledger: new UserLedger(createLedgerMemory(1)),
    quotas: { read: () => null },
    users: () => [],
    perUserLimit: 1,
    throttle: () => null,
    replayFillRatio: () => 0,
    workers: () => [],
    upstreams: () => [],
  })
  const expected = [
    ...families.map(({ name, kind, labelNames, help }) => describe(name, kind, labelNames, help)),
    ...HISTOGRAMS.map(({ name, labels, help }) => describe(name, 'histogram', Object.keys(labels), help)),
  ]
  const table = PAGE.slice(PAGE.indexOf('## Families'), PAGE.indexOf('## Handshakes'))
  const rows = table.split('\n').filter((line) => line.startsWith('| `'))
  assert.deepEqual(rows.map((row) => row.replaceAll(/ +/g, ' ')).toSorted(), expected.toSorted())
})

test('the page says what every outcome, reason and end means', () => {
  const explained = [
    'handshakes',
    'handshakes_limited',
    'proxy_protocol',
    'dns_queries',
    'relays_ended',
    'dc_dial_seconds',
  ]
  const families: readonly { name: string; labels: Readonly<Record<string, readonly string[]>> }[] = [
    ...METRICS,
    ...HISTOGRAMS,
  ]
  for (const name of explained) {
    const labels = families.find((family) => family.name === name)?.labels
    assert.ok(labels, name)
    for (const value of Object.values(labels).flat())
      assert.ok(PAGE.includes(`\`${value}\``), `${name}: ${value}`)
  }
})
