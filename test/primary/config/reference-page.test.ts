import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { readConfig } from '#primary/config/read'
import { CONFIG_KEYS, type ConfigKey, SCHEMA, showValue } from '#primary/config/schema'

const PAGE = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
const MINIMAL = 'secret = "7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ"\nbind-to = "0.0.0.0:3128"'

/** The key's line of the table, as the schema has it. */
function describeKey(key: ConfigKey): string {
  const { values } = readConfig(MINIMAL, { fileName: 'config.toml' })
  const row = SCHEMA[key]
  const value = row.default === null ? null : showValue(key, values)
  const isTable = key === 'dc' || key === 'dc-routes' || key === 'secrets'
  const shown = value === null || isTable ? '' : ` \`${formatValue(value)}\``
  const help = 'deprecated' in row ? `Deprecated: use \`${row.deprecated?.instead}\`. ${row.help}` : row.help
  return `| \`${key}\` |${shown} | ${row.reload} | ${help} |`
}

function formatValue(value: unknown): string {
  return Array.isArray(value)
    ? `[${value.map((element) => JSON.stringify(element)).join(', ')}]`
    : JSON.stringify(value)
}

test('the page on the configuration has every key as it is', () => {
  // The formatter pads columns.
  const table = PAGE.slice(PAGE.indexOf('## Keys'), PAGE.indexOf('## A file of'))
  const rows = table.split('\n').filter((line) => line.startsWith('| `'))
  assert.deepEqual(
    rows.map((row) => row.replace(/ +/g, ' ')).toSorted(),
    CONFIG_KEYS.map(describeKey).toSorted(),
  )
})
