import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { METRICS } from '#shared/state/layout'
import { HISTOGRAMS } from '#shared/state/histogram'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')
const PAGE = read('docs/reliability.md')

/** Cells of the rows that begin with a fault or a defect. */
const ROWS = PAGE.split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (?:fault|defect|-)/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
const FAULTS = ROWS.filter((cells) => cells.length === 5)
const DEFECTS = ROWS.filter((cells) => cells.length === 3)

const coded = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? '')

test('every test that the page names is there', () => {
  for (const cells of ROWS) {
    const cell = cells.at(-1) ?? ''
    const named = [...cell.matchAll(/`(test\/[^`]+)`(?: "([^"]+)")?/g)]
    assert.ok(named.length > 0, cell)
    for (const [, path = '', name] of named) {
      assert.ok(existsSync(new URL(path, ROOT)), path)
      // A name may be cut into lines and put together from parts, so it is looked for in what is left of both.
      if (name !== undefined) assert.ok(read(path).includes(name), `${path} has no test "${name}"`)
    }
  }
})

test('every line of the log that the page names is written by the program', () => {
  const sources = readdirSync(new URL('packages/', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => read(`packages/${path}`))
  for (const [fault = '', , log] of FAULTS) {
    const lines = coded(log?.replaceAll(/reason `[^`]+`/g, ''))
    assert.ok(lines.length > 0 || log === '–', fault)
    for (const line of lines)
      assert.ok(
        sources.some((source) => source.includes(line)),
        line,
      )
  }
})

test('every counter that the page names exists', () => {
  const names = new Set<string>([...METRICS, ...HISTOGRAMS].map(({ name }) => name))
  const page = read('docs/metrics.md') // which metrics-page.test.ts compares with all families
  for (const [fault = '', , , counters] of FAULTS) {
    const found = coded(counters?.replaceAll(/\(`[^`]+`\)/g, ''))
    assert.ok(found.length > 0 || counters === '–', fault)
    for (const name of found) assert.ok(names.has(name) || page.includes(`| \`${name}\` `), name)
  }
})

test('every defect has its row', () => {
  const missing = [
    ...Array.from({ length: 10 }, (_, n) => `C${n + 1}`),
    ...Array.from({ length: 7 }, (_, n) => `S${n + 1}`),
  ].filter((id) => !DEFECTS.some(([defect]) => defect?.startsWith(`**${id}**`)))
  assert.deepEqual(missing, [])
  assert.ok(FAULTS.length > 30)
})
