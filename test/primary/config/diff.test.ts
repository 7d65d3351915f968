import assert from 'node:assert/strict'
import { test } from 'node:test'

import { diffConfig } from '#primary/config/diff'
import { readConfig, type ReadConfig } from '#primary/config/read'
import { CONFIG_KEYS, SCHEMA } from '#primary/config/schema'

const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const OTHER = `ee01${KEY.slice(2)}6578616d706c652e636f6d`
const MINIMAL = `bind-to = "0.0.0.0:1"\nsecret = "${SECRET}"\n`

function read(text: string): ReadConfig {
  return readConfig(text, { fileName: 'config.toml' })
}

test('a file that says the same in other words has not changed', () => {
  const after = `# a comment
SECRET = ["${SECRET.toUpperCase()}"]
bind-to = ["0.0.0.0:01"]
network.timeout.idle = "300s"
concurrency = 0
performance.workers = "auto"
[dc]
`
  assert.deepEqual(diffConfig(read(MINIMAL), read(after)), { live: [], restart: [] })
})

test('changed keys are told apart by what a running process does with them', () => {
  const after = `bind-to = "0.0.0.0:2"
secret = "${OTHER}"
debug = true
performance.workers = 3
network.proxies = ["socks5://u:p@10.0.0.1"]
[stats.prometheus]
enabled = true
[dc]
2 = "127.0.0.1:1"
`
  assert.deepEqual(diffConfig(read(MINIMAL), read(after)), {
    live: ['debug', 'secret', 'network.proxies', 'dc'],
    restart: ['bind-to', 'stats.prometheus.enabled', 'performance.workers'],
  })
})

test('a user who comes, goes or gets another secret is a change', () => {
  const withUsers = (users: string): ReadConfig => read(`bind-to = "0.0.0.0:1"\n[secrets]\n${users}`)
  const before = withUsers(`anna = "${SECRET}"`)
  for (const users of [`anna = "${OTHER}"`, `bob = "${SECRET}"`, `anna = "${SECRET}"\nbob = "${OTHER}"`])
    assert.deepEqual(diffConfig(before, withUsers(users)), { live: ['secrets'], restart: [] }, users)
  assert.deepEqual(diffConfig(before, withUsers(`anna = { secret = "${SECRET}" }`)), {
    live: [],
    restart: [],
  })
})

test('a secret outside of the file that is another one now is a change', (t) => {
  t.after(() => delete process.env['MTG_TEST_SECRET'])
  const text = 'bind-to = "0.0.0.0:1"\nsecrets.anna = "env:MTG_TEST_SECRET"'
  process.env['MTG_TEST_SECRET'] = SECRET
  const before = read(text)
  process.env['MTG_TEST_SECRET'] = OTHER
  assert.deepEqual(diffConfig(before, read(text)).live, ['secrets'])
})

test('a deprecated key counts under the name that took its place', () => {
  const before = read(`domain-fronting-port = 8443\n${MINIMAL}`)
  assert.deepEqual(diffConfig(read(MINIMAL), before).live, ['domain-fronting-port', 'domain-fronting.port'])
})

test('every key says what a running process does with a change', () => {
  for (const key of CONFIG_KEYS) assert.match(SCHEMA[key].reload, /^(?:live|restart)$/, key)
})
