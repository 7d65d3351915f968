import assert from 'node:assert/strict'
import { test } from 'node:test'

import { readConfig } from '#primary/config/read'
import { SCHEMA } from '#primary/config/schema'
import { formatConfigWarning } from '#primary/config/warning'
import type { ProxyConfig } from '#shared/config'

const MINIMAL = 'secret = "7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ"\nbind-to = "0.0.0.0:3128"\n'

function read(text: string): ProxyConfig {
  return readConfig(text, { fileName: 'config.toml' }).config
}

function warningsOf(text: string): readonly string[] {
  return readConfig(text, { fileName: 'config.toml' }).warnings.map(formatConfigWarning)
}

test('a key whose feature is not there yet is named when it is set, and silent at its default', () => {
  const example: Readonly<Record<string, string>> = {
    'proxy-protocol-listener': 'true',
    'auto-update': 'true',
    'throttle.max-connections': '5',
    'network.dns': '"1.1.1.1"',
    'network.proxies': '["socks5://127.0.0.1"]',
    'defense.allowlist.enabled': 'true',
    'stats.statsd.enabled': 'true',
    'state-file': '"x"',
  }
  for (const [key, value] of Object.entries(example)) {
    const row = SCHEMA[key as keyof typeof SCHEMA] // the keys above
    const told = warningsOf(`${key} = ${value}\n${MINIMAL}`).filter((text) => text.includes('no effect'))
    const expected = `${key} (line 1): accepted, but has no effect in this version`
    assert.deepEqual(told, 'pending' in row ? [expected] : [], key)
  }
  assert.deepEqual(warningsOf(`auto-update = false\nnetwork.proxies = []\n${MINIMAL}`), [])
})

test('the error rate is named as unused when somebody has chosen one', () => {
  assert.deepEqual(warningsOf(`defense.anti-replay.error-rate = 0.01\n${MINIMAL}`), [
    'defense.anti-replay.error-rate (line 1): accepted, but has no effect: the replay set is exact',
  ])
  assert.deepEqual(warningsOf(`defense.anti-replay.error-rate = 0.001\n${MINIMAL}`), [])
  // The reference takes it for a fraction and makes a filter of it that costs millions of operations a handshake.
  const absurd = read(`defense.anti-replay.error-rate = 99.9\n${MINIMAL}`)
  assert.deepEqual(absurd, read(MINIMAL))
})

test('deprecated keys count where the new ones are not set, and name them', () => {
  const old = 'domain-fronting-port = 8443\ndomain-fronting-proxy-protocol = true\nnetwork.doh-ip = "::1"\n'
  const { domainFronting, network } = read(old + MINIMAL)
  assert.deepEqual([domainFronting.port, domainFronting.proxyProtocol], [8443, true])
  assert.deepEqual(network.dns, { kind: 'https', host: '::1', port: 443, path: '/dns-query' })
  assert.deepEqual(
    warningsOf(old + MINIMAL).filter((text) => text.includes('deprecated')),
    [
      'domain-fronting-port (line 1): deprecated: use domain-fronting.port',
      'domain-fronting-proxy-protocol (line 2): deprecated: use domain-fronting.proxy-protocol',
      'network.doh-ip (line 3): deprecated: use network.dns',
    ],
  )
  const both = `${old}domain-fronting.port = 444\ndomain-fronting.proxy-protocol = false\nnetwork.dns = "system"\n`
  const mixed = read(both + MINIMAL)
  assert.deepEqual([mixed.domainFronting.port, mixed.domainFronting.proxyProtocol], [444, true])
  assert.deepEqual(mixed.network.dns, { kind: 'system' })
  // In the reference 0 is as good as absent.
  assert.equal(read(`domain-fronting.port = 0\n${old}${MINIMAL}`).domainFronting.port, 8443)
})

test('the two addresses for fronting are ignored, in the words of the reference', () => {
  const text = `domain-fronting-ip = "10.0.0.1"\ndomain-fronting.ip = "10.0.0.2"\n${MINIMAL}`
  assert.equal(read(text).domainFronting.host, null)
  assert.deepEqual(warningsOf(text), [
    'config option "domain-fronting-ip" is deprecated and ignored',
    'config option "ip" in [domain-fronting] is deprecated and ignored',
  ])
  assert.throws(() => read(`domain-fronting-ip = "x"\n${MINIMAL}`), /^ConfigError: domain-fronting-ip/)
})

function unwise(text: string): readonly string[] {
  const { warnings } = readConfig(text, { fileName: 'config.toml' })
  return warnings.filter((warning) => warning.kind === 'unwise').map(formatConfigWarning)
}

test('a throttle above the limit of connections is named', () => {
  assert.deepEqual(unwise(`throttle.max-connections = 9000\n${MINIMAL}`), [
    'throttle.max-connections (line 1): 9000 connections are more than concurrency (8192) lets in: the throttle never acts',
  ])
  assert.deepEqual(unwise(`throttle.max-connections = 8192\n${MINIMAL}`), [])
})

test('an API that everybody reaches is named, unless it has a token', () => {
  const open = `api-bind-to = "0.0.0.0:9090"\n${MINIMAL}`
  assert.deepEqual(unwise(open), [
    'api-bind-to (line 1): everybody who reaches this address can read the statistics: set api-token, or bind to 127.0.0.1',
  ])
  assert.deepEqual(unwise(`api-token = "0123456789abcdef"\n${open}`), [])
  for (const local of ['127.0.0.1:1', '[::1]:1', 'localhost:1', 'unix:/run/x'])
    assert.deepEqual(unwise(`api-bind-to = "${local}"\n${MINIMAL}`), [], local)
})

test('PROXY headers of everybody are named, unless the listener is on loopback', () => {
  const open = `proxy-protocol-listener = true\n${MINIMAL}`
  assert.deepEqual(unwise(open), [
    'proxy-protocol-listener (line 1): whoever reaches bind-to can pretend to come from any address: set proxy-protocol-trusted',
  ])
  assert.deepEqual(unwise(`proxy-protocol-trusted = "10.0.0.0/8"\n${open}`), [])
  assert.deepEqual(unwise(open.replace('0.0.0.0', '127.0.0.1')), [])
})

test('an enabled IP list without a source is named with what follows from it', () => {
  assert.deepEqual(unwise(`defense.allowlist.enabled = true\ndefense.blocklist.enabled = true\n${MINIMAL}`), [
    'defense.allowlist.enabled (line 1): defense.allowlist.urls is empty: nobody gets in',
    'defense.blocklist.enabled (line 2): defense.blocklist.urls is empty: nobody is refused',
  ])
  const urls = '["https://lists.test/a"]'
  const full = `defense.allowlist = { enabled = true, urls = ${urls} }\ndefense.blocklist.urls = []\n`
  assert.deepEqual(unwise(full + MINIMAL), [])
})
