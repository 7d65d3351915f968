import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { collectDefaultMetrics, Registry } from 'prom-client'

import { HISTOGRAMS } from '#shared/state/histogram'
import { METRICS } from '#shared/state/layout'
import { REFUSALS } from '#shared/state/ledger-layout'

/** What the dashboard and the alert rules ask for exists, or they stay empty and silent without anybody noticing. */

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')

/** Given by Prometheus to every series. */
const TARGET_LABELS = ['instance', 'job']

/** Label names by name of a series. docs/metrics.md is compared with the program in metrics-page.test.ts. */
function listExported(): Map<string, readonly string[]> {
  const exported = new Map<string, readonly string[]>([['mtg_build_info', ['version', 'node']]])
  const row = /^\| `(\w+)` +\| (gauge|counter|histogram) +\| ([^|]*)\|/gm
  for (const [, name, kind, cell = ''] of read('docs/metrics.md').matchAll(row)) {
    const labels = [...cell.matchAll(/`(\w+)`/g)].map(([, label = '']) => label)
    if (kind !== 'histogram') exported.set(`mtg_${name}`, labels)
    else for (const part of ['bucket', 'sum', 'count']) exported.set(`mtg_${name}_${part}`, [...labels, 'le'])
  }
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const { name } of registry.getMetricsAsArray()) exported.set(name, [])
  return exported
}

/** Every expression of a dashboard, wherever it stands. */
function listExpressions(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    typeof inner === 'string' && ['expr', 'query', 'definition'].includes(key)
      ? [inner]
      : listExpressions(inner),
  )
}

const DASHBOARD = listExpressions(JSON.parse(read('contrib/grafana/mtg-multi.json')))
const ALERTS = [read('contrib/prometheus/alerts.yml').replaceAll(/^ *#.*$/gm, '')]

for (const [what, expressions] of Object.entries({ dashboard: DASHBOARD, alerts: ALERTS })) {
  test(`every series that the ${what} ask for is exported, with the labels it is asked by`, () => {
    const exported = listExported()
    const asked = new Set<string>()
    for (const expression of expressions) {
      for (const [, name = '', selector = ''] of expression.matchAll(
        /\b((?:mtg|process|nodejs)_[a-z_]+)\b(?:\{([^}]*)\})?/g,
      )) {
        const labels = exported.get(name)
        assert.ok(labels !== undefined, `${name} is exported`)
        for (const [, label = ''] of selector.matchAll(/(\w+) *(?:=~|!~|!=|=)/g))
          assert.ok([...labels, ...TARGET_LABELS].includes(label), `${name} has the label ${label}`)
        asked.add(name)
      }
    }
    assert.ok(asked.size >= 15, `${asked.size} series`)
  })
}

/** Of labels with a closed list of values, and of those of users. */
function listValues(name: string, label: string): readonly string[] | null {
  if (name === 'mtg_user_refusals' && label === 'reason') return REFUSALS
  const tables: readonly { name: string; labels: Readonly<Record<string, readonly string[]>> }[] = [
    ...METRICS,
    ...HISTOGRAMS,
    { name: 'user_bytes', labels: { direction: ['to_client', 'from_client'] } },
  ]
  const plain = name.replace(/^mtg_/, '').replace(/_(bucket|sum|count)$/, '')
  return tables.find((table) => table.name === plain)?.labels[label] ?? null
}

test('values that series are asked for by exist', () => {
  let asked = 0
  for (const expression of [...DASHBOARD, ...ALERTS]) {
    for (const [, name = '', selector = ''] of expression.matchAll(/\b(mtg_[a-z_]+)\{([^}]*)\}/g)) {
      for (const [, label = '', text = ''] of selector.matchAll(/(\w+) *(?:=~|!~|!=|=) *"([^"]*)"/g)) {
        const values = listValues(name, label)
        if (values === null || text.startsWith('$')) continue
        asked += 1
        for (const value of text.split('|'))
          assert.ok(
            values.some((known) => new RegExp(`^(?:${value})$`).test(known)),
            `${name}{${label}="${value}"}`,
          )
      }
    }
  }
  assert.ok(asked >= 5, `${asked} selectors`)
})
