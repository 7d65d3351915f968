import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { findKeyLines } from '#primary/config/key-lines'
import { readConfig } from '#primary/config/read'
import { CONFIG_KEYS, SCHEMA } from '#primary/config/schema'
import { formatConfigWarning } from '#primary/config/warning'
import { parse } from 'smol-toml'

const EXAMPLE = readFileSync(new URL('../../../example.config.toml', import.meta.url), 'utf8')
const SECRET = 'secret = "7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ"\n'
/** The keys that are off: a "#" without a space behind it. */
const UNCOMMENTED = EXAMPLE.replaceAll(/^#(?=[\w"])/gm, '')

test('the example has the defaults, and nothing in it needs a warning', () => {
  const example = readConfig(`${SECRET}${EXAMPLE}`, { fileName: 'example.config.toml' })
  const minimal = readConfig(`${SECRET}bind-to = "0.0.0.0:3128"`, { fileName: 'config.toml' })
  assert.deepEqual(example.config, minimal.config)
  assert.deepEqual(example.warnings, [])
})

test('every key with a default stands in the example as a line of its own', () => {
  const lines = findKeyLines(EXAMPLE)
  for (const key of CONFIG_KEYS) {
    if (SCHEMA[key].default === null || 'deprecated' in SCHEMA[key]) continue
    const path = key.split('.')
    const line = EXAMPLE.split('\n')[(lines.find(path) ?? 0) - 1]
    assert.match(line ?? '', new RegExp(`^(?:${path.at(-1)} = |\\[${key}\\])`), key)
  }
})

test('every key stands in the example, those without a default as a comment', () => {
  parse(UNCOMMENTED)
  const written = new Set(
    findKeyLines(UNCOMMENTED)
      .paths()
      .map((path) => path.join('.')),
  )
  for (const key of CONFIG_KEYS) assert.ok(written.has(key), key)
})

test('keys that are off are written as they would be accepted, except for the secrets', (t) => {
  process.env['MTG_API_TOKEN'] = 'a-token-of-24-characters'
  t.after(() => delete process.env['MTG_API_TOKEN'])
  const withSecrets = UNCOMMENTED.replaceAll(/"ee<[^"]*"/g, () => `"ee${makeKey()}6578616d706c65"`)
  const { warnings } = readConfig(withSecrets, { fileName: 'example.config.toml' })
  assert.deepEqual(
    warnings
      .filter((warning) => !warning.expected.endsWith('no effect in this version'))
      .map((warning) => formatConfigWarning(warning).replace(/ \(line \d+\)/, '')),
    [
      'secret: ignored, because [secrets] has users',
      'domain-fronting-port: deprecated: use domain-fronting.port',
      'domain-fronting-proxy-protocol: deprecated: use domain-fronting.proxy-protocol',
      'config option "domain-fronting-ip" is deprecated and ignored',
      'config option "ip" in [domain-fronting] is deprecated and ignored',
      'network.doh-ip: deprecated: use network.dns',
    ],
  )
})

test('nobody can run the example as it is', () => {
  assert.throws(() => readConfig(EXAMPLE, { fileName: 'example.config.toml' }), /secret: required/)
  assert.throws(() => readConfig(UNCOMMENTED, { fileName: 'example.config.toml' }), /secret/)
  assert.doesNotMatch(EXAMPLE, /debug = true|[0-9a-f]{32}|"7[g-v][A-Za-z0-9_-]{20}/)
})

test('every key says what it is for, and why one would change it', () => {
  const rows = EXAMPLE.split('\n')
  rows.forEach((row, index) => {
    if (!/^#?[a-z-]+ = /.test(row)) return
    assert.match(rows[index - 1] ?? '', /^#|^\[/, row)
  })
  for (const key of CONFIG_KEYS) assert.match(SCHEMA[key].help, /^[A-Z].*\.$/, key)
})

let made = 0
/** A key that no other call gives. */
function makeKey(): string {
  made++
  return made.toString(16).padStart(32, 'a')
}
