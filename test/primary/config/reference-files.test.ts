import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { findKeyLines } from '#primary/config/key-lines'
import { readConfig } from '#primary/config/read'
import { CONFIG_KEYS, SCHEMA } from '#primary/config/schema'
import { formatConfigWarning } from '#primary/config/warning'
import type { ProxyConfig } from '#shared/config'
import { ConfigError } from '#shared/errors'
import { formatSecretBase64 } from '#shared/secret'

import { REFERENCE_EXAMPLE } from './reference-example.ts'

// The acceptance files of the reference, written anew from their description (operator.md §1.6).
const SECRET = '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'
const MINIMAL = `secret = "${SECRET}"\nbind-to = "0.0.0.0:3128"\n`

function warningsOf(text: string): readonly string[] {
  return readConfig(text, { fileName: 'config.toml' }).warnings.map(formatConfigWarning)
}

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

/** Values at the edges of the reference's grammars (operator.md §1.2), each with its warning. */
const ACCEPTED_BY_THE_REFERENCE: readonly (readonly [string, RegExp | null])[] = [
  ['concurrency = 65535', null],
  ['concurrency = 0', null],
  ['prefer-ip = "Only-IPv6"', null],
  ['api-bind-to = "[127.0.0.1]:9090"', null],
  ['tolerate-time-skewness = " 1 H 2 m "', null],
  ['network.timeout.idle = "0"', null],
  ['network.timeout.idle = "1000h"', /lowered to 596h/],
  ['public-ipv4 = "2001:db8::1"', /write it to public-ipv6/],
  ['public-ipv6 = "203.0.113.1"', /write it to public-ipv4/],
  ['domain-fronting.host = "not*a*name"', /not a name that DNS can have/],
  ['domain-fronting.host = "::1"', null],
  ['network.dns = "UDP://1.1.1.1"', null],
  ['network.dns = "https://dns.example/q?x=1"', null],
  ['network.doh-ip = "1.1.1.1"', /deprecated/],
  ['network.proxies = ["socks5h://u@h?any=thing"]', /only open_threshold/],
  ['network.tcp-not-sent-lowat = "1.5kib"', null],
  ['defense.anti-replay.max-size = "1mb"', /raised to 16mib/],
  ['defense.anti-replay.max-size = "5gb"', /lowered to 1gib/],
  ['defense.anti-replay.error-rate = 99', /the replay set is exact/],
  [`defense.blocklist.urls = ["${fileURLToPath(import.meta.url)}"]`, null],
  ['stats.prometheus.http-path = "//a?b//"', /percent-encoded/],
  ['stats.statsd.metric-prefix = "9"', null],
  ['stats.statsd.tag-format = "InfluxDB"', null],
  ['unknown = { deep = [1, { er = 2 }] }', /unknown key, ignored/],
]

test('a value that the reference accepts never refuses a start', () => {
  for (const [line, warning] of ACCEPTED_BY_THE_REFERENCE) {
    const told = warningsOf(`${line}\n${MINIMAL}`).filter((text) => !text.includes('in this version'))
    if (warning === null) assert.deepEqual(told, [], line)
    else assert.match(told.join('\n'), warning, line)
  }
})

/** What the reference's own example says at start here, apart from keys whose feature is not there yet. */
const EXAMPLE_WARNINGS = [
  'secret (line 2): ignored, because [secrets] has users',
  'domain-fronting-port (line 13): deprecated: use domain-fronting.port',
  'config option "domain-fronting-ip" is deprecated and ignored',
  'domain-fronting-proxy-protocol (line 15): deprecated: use domain-fronting.proxy-protocol',
  'config option "ip" in [domain-fronting] is deprecated and ignored',
  'network.doh-ip (line 29): deprecated: use network.dns',
  'defense.anti-replay.max-size (line 47): found "1mib", raised to 16mib: less would forget hellos too early',
]
/** Set to something else than our default, there. */
const PENDING_IN_THE_EXAMPLE = [
  'domain-fronting-proxy-protocol',
  'throttle.max-connections',
  'network.dns',
  'network.doh-ip',
  'defense.blocklist.enabled',
  'defense.blocklist.urls',
] as const

test('the example of the reference, with every key of it, is taken with exactly these warnings', () => {
  const told = warningsOf(REFERENCE_EXAMPLE)
  const isPending = (text: string): boolean => text.endsWith('no effect in this version')
  assert.deepEqual(
    told.filter((text) => !isPending(text)),
    EXAMPLE_WARNINGS,
  )
  assert.deepEqual(
    told.filter(isPending).map((text) => text.replace(/ \(line.*/, '')),
    PENDING_IN_THE_EXAMPLE.filter((key) => 'pending' in SCHEMA[key]),
  )
})

test('the example of the reference has every key that is not ours alone', () => {
  const written = new Set(
    findKeyLines(REFERENCE_EXAMPLE)
      .paths()
      .map((path) => path.join('.')),
  )
  assert.deepEqual(
    CONFIG_KEYS.filter((key) => !written.has(key)),
    [
      'listen-backlog',
      'reuse-port',
      'proxy-protocol-trusted',
      'api-token',
      'api-allowed-hosts',
      'api-path-prefix',
      'state-file',
      'shutdown-timeout',
      'throttle.action',
      'domain-fronting.max-connections',
      'domain-fronting.via-proxies',
      'defense.max-handshakes',
      'defense.max-handshakes-per-address',
      'defense.blocklist.action',
      'defense.allowlist.action',
      'defense.doppelganger.pacing',
      'defense.doppelganger.learn-front',
      'stats.per-user-limit',
      'performance.workers',
      'performance.fast-mode',
      'performance.cipher',
      'dc',
      'dc-routes',
    ],
  )
})
