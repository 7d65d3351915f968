import assert from 'node:assert/strict'
import { test } from 'node:test'

import { readConfig } from '#primary/config/read'
import type { ProxyConfig } from '#shared/config'
import { ConfigError } from '#shared/errors'
import { formatSecretBase64 } from '#shared/secret'

// The acceptance files of the reference, written anew from their description (operator.md §1.6).
const SECRET = '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'
const MINIMAL = `secret = "${SECRET}"\nbind-to = "0.0.0.0:3128"\n`

function read(text: string): ProxyConfig {
  return readConfig(text, { fileName: 'config.toml' }).config
}

const REFUSED: Readonly<Record<string, string>> = {
  'broken.toml': 'secret = hello\n',
  'broken.toml (a bare number)': '11',
  'only_secret.toml': `secret = "${SECRET}"\n`,
  'missed-secret.toml': 'bind-to = "0.0.0.0:80"\n',
  'empty_bind.toml': `secret = "${SECRET}"\nbind-to = []\n`,
  'invalid_bind_addr.toml': `secret = "${SECRET}"\nbind-to = ["not-an-address"]\n`,
  'non_string_bind.toml': `secret = "${SECRET}"\nbind-to = [123]\n`,
  'duplicate_bind.toml': `secret = "${SECRET}"\nbind-to = ["127.0.0.1:443", "127.0.0.1:443"]\n`,
  'public_ip_invalid.toml': `${MINIMAL}public-ipv4 = "not-an-ip"\n`,
  'empty.toml': '',
}

test('every file that the reference refuses is refused', () => {
  for (const [name, text] of Object.entries(REFUSED)) assert.throws(() => read(text), ConfigError, name)
})

test('minimal.toml: the secret comes back as it was written', () => {
  const config = read(MINIMAL)
  assert.deepEqual(
    config.users.map((user) => user.secrets.map(formatSecretBase64)),
    [[SECRET]],
  )
  assert.deepEqual(config.bindTo, [{ host: '0.0.0.0', port: 3128 }])
  assert.deepEqual([config.publicIpv4, config.publicIpv6, config.domainFronting.host], [null, null, null])
})

test('multi_bind.toml: two addresses in their order', () => {
  const { bindTo } = read(`secret = "${SECRET}"\nbind-to = ["127.0.0.1:443", "[::1]:443"]\n`)
  assert.deepEqual(bindTo, [
    { host: '127.0.0.1', port: 443 },
    { host: '::1', port: 443 },
  ])
})

test('public_ip.toml and public_ip_v4_only.toml: addresses are taken, or stay unset', () => {
  const both = read(`${MINIMAL}public-ipv4 = "203.0.113.1"\npublic-ipv6 = "2001:db8::1"\n`)
  assert.deepEqual([both.publicIpv4, both.publicIpv6], ['203.0.113.1', '2001:db8::1'])
  assert.equal(read(`${MINIMAL}public-ipv4 = "203.0.113.1"\n`).publicIpv6, null)
})

function hostOf(line: string): string | null {
  return read(`${MINIMAL}[domain-fronting]\n${line}\n`).domainFronting.host
}

test('domain_fronting_host.toml, _host_ip.toml and _ip.toml: only host decides', () => {
  assert.equal(hostOf('host = "fronting-backend"'), 'fronting-backend')
  assert.equal(hostOf('host = "10.0.0.1"'), '10.0.0.1')
  assert.equal(hostOf('ip = "10.0.0.1"'), null)
})
