import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { readConfig } from '#primary/config/read'
import { formatConfigWarning } from '#primary/config/warning'

const SECRET = `ee${'5a'.repeat(16)}${Buffer.from('mtg.example.com').toString('hex')}`

for (const recipe of ['sni-router', 'socks5-chain']) {
  test(`contrib/${recipe}/config.toml is taken without a warning`, (t) => {
    process.env['MTG_SECRET'] = SECRET
    t.after(() => delete process.env['MTG_SECRET'])
    const text = readFileSync(`contrib/${recipe}/config.toml`, 'utf8')
    const { config, warnings } = readConfig(text, { fileName: 'config.toml' })
    assert.deepEqual(
      warnings.map(formatConfigWarning).filter((warning) => !warning.endsWith('no effect in this version')),
      [],
    )
    assert.equal(config.users[0]?.secrets[0]?.host, 'mtg.example.com')
    // Strangers are sent to a server of this machine, by an address that cannot lead back here.
    assert.deepEqual([config.domainFronting.host, config.domainFronting.port], ['127.0.0.1', 8443])
  })
}
