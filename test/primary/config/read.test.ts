import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'

import { readConfig } from '#primary/config/read'
import { CONFIG_KEYS } from '#primary/config/match-keys'
import { KEYS_WITHOUT_EFFECT } from '#primary/config/keys-without-effect'
import type { ProxyConfig } from '#shared/config'
import { BUILT_IN_DCS } from '#shared/dc'
import { ConfigError, formatConfigProblem } from '#shared/errors'
import * as fc from 'fast-check'

const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const MINIMAL = `secret = "${SECRET}"\nbind-to = "0.0.0.0:3128"\n`

function read(text: string): ProxyConfig {
  return readConfig(text, { fileName: 'config.toml' }).config
}

function warningsOf(text: string): readonly string[] {
  return readConfig(text, { fileName: 'config.toml' }).warnings.map(formatConfigProblem)
}

/** Every problem as an operator reads it; empty if the text is a good config. */
function problemsOf(text: string): readonly string[] {
  try {
    read(text)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    assert.ok(error.problems.length > 0, 'an error without a problem')
    return error.problems.map(formatConfigProblem)
  }
}

test('a secret and an address are enough, and everything else has its default', () => {
  assert.deepEqual(read(MINIMAL), {
    debug: false,
    users: [
      { name: 'default', secrets: [{ key: new Uint8Array(Buffer.from(KEY, 'hex')), host: 'example.com' }] },
    ],
    bindTo: [{ host: '0.0.0.0', port: 3128 }],
    apiBindTo: null,
    concurrency: 8192,
    preferIp: 'prefer-ipv6',
    tolerateTimeSkewnessMs: 5000,
    allowFallbackOnUnknownDc: false,
    publicIpv4: null,
    publicIpv6: null,
    shutdownTimeoutMs: 30_000,
    domainFronting: { host: null, port: 443, maxConnections: 4096 },
    network: { timeout: { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 10_000 } },
    defense: { antiReplay: { enabled: true, maxSizeBytes: 16 * 2 ** 20 } },
    stats: {
      prometheus: {
        enabled: false,
        bindTo: { host: '127.0.0.1', port: 3129 },
        httpPath: '/',
        metricPrefix: 'mtg',
      },
    },
    performance: { workers: Math.min(availableParallelism(), 256), fastMode: true },
    dcs: BUILT_IN_DCS,
  })
  assert.deepEqual(warningsOf(MINIMAL), [])
})

test('each key arrives where it belongs', () => {
  const config = read(`
debug = true
bind-to = ["127.0.0.1:443", "[::1]:443"]
api-bind-to = "127.0.0.1:9090"
concurrency = 3
prefer-ip = "only-ipv4"
tolerate-time-skewness = "7s"
allow-fallback-on-unknown-dc = true
public-ipv4 = "203.0.113.1"
public-ipv6 = "2001:db8::1"
shutdown-timeout = "0"
[domain-fronting]
host = "10.0.0.1"
port = 8443
[network]
timeout = { tcp = "1s", http = "2s", idle = "3s", handshake = "4s" }
[defense.anti-replay]
enabled = false
max-size = "32mib"
[stats.prometheus]
enabled = true
bind-to = "127.0.0.1:1"
http-path = "metrics/"
metric-prefix = "x1"
[performance]
workers = 5
fast-mode = false
[dc]
2 = ["127.0.0.1:8443", "[::1]:8443"]
10 = "127.0.0.1:1"
[secrets]
anna = "${SECRET}"
`)
  assert.deepEqual(
    { ...config, users: config.users.map((user) => user.name) },
    {
      debug: true,
      users: ['anna'],
      bindTo: [
        { host: '127.0.0.1', port: 443 },
        { host: '::1', port: 443 },
      ],
      apiBindTo: { host: '127.0.0.1', port: 9090 },
      concurrency: 3,
      preferIp: 'only-ipv4',
      tolerateTimeSkewnessMs: 7000,
      allowFallbackOnUnknownDc: true,
      publicIpv4: '203.0.113.1',
      publicIpv6: '2001:db8::1',
      shutdownTimeoutMs: 0,
      domainFronting: { host: '10.0.0.1', port: 8443, maxConnections: 1 },
      network: { timeout: { tcpMs: 1000, httpMs: 2000, idleMs: 3000, handshakeMs: 4000 } },
      defense: { antiReplay: { enabled: false, maxSizeBytes: 32 * 2 ** 20 } },
      stats: {
        prometheus: {
          enabled: true,
          bindTo: { host: '127.0.0.1', port: 1 },
          httpPath: '/metrics',
          metricPrefix: 'x1',
        },
      },
      performance: { workers: 5, fastMode: false },
      dcs: {
        ...BUILT_IN_DCS,
        2: [
          { host: '127.0.0.1', port: 8443 },
          { host: '::1', port: 8443 },
        ],
        10: [{ host: '127.0.0.1', port: 1 }],
      },
    },
  )
})

function limit(lines: string): number {
  return read(`${lines}\n${MINIMAL}`).domainFronting.maxConnections
}

test('fronting takes at most half of the proxy, and at least one connection', () => {
  assert.equal(limit('concurrency = 100'), 50)
  assert.equal(limit('concurrency = 1'), 1)
  assert.equal(limit('domain-fronting.max-connections = 7'), 7)
})

test('every problem is told at once, with its line, what was found and what is right', () => {
  const text = `concurrency = 0
secret = "${SECRET.slice(0, 20)}"
[network.timeout]
idle = "5"
[domain-fronting]
port = "443"
[dc]
0 = ["127.0.0.1:1"]
2 = []
[defense]
anti-replay = true
`
  assert.deepEqual(problemsOf(text), [
    'bind-to: required: an address to listen on, such as "0.0.0.0:3128"',
    'concurrency (line 1): found 0, expected an integer from 1 to 1000000',
    'secret (line 2): found "ee…" (20 characters), expected 16 bytes of key after the "ee": this secret is cut off',
    'network.timeout.idle (line 4): found "5", expected a duration with its unit, such as "5s", "1m30s" or "2h"',
    'domain-fronting.port (line 6): found "443", expected an integer from 1 to 65535',
    'dc.0 (line 8): expected the number of a data centre, from 1 to 32767',
    'dc.2 (line 9): found an empty array, expected at least one address',
    'defense.anti-replay (line 11): found true, expected a table',
  ])
})

test('a missing key is not told when it is there but wrong', () => {
  assert.deepEqual(problemsOf(`secret = "${SECRET}"\nbind-to = []`), [
    'bind-to (line 2): found an empty array, expected at least one address',
  ])
  assert.equal(problemsOf('bind-to = "0.0.0.0:1"\nsecret = 5').length, 1)
  assert.equal(problemsOf('bind-to = "0.0.0.0:1"\n[secrets]\nanna = 5').length, 1)
})

test('a section without users is a missing secret', () => {
  assert.match(problemsOf('bind-to = "0.0.0.0:1"\n[secrets]\n').join(), /^secret: required/)
})

test('a syntax error has its line and never quotes the file', () => {
  const problems = problemsOf(`bind-to = "0.0.0.0:1"\nsecret = ${SECRET}\n`)
  assert.deepEqual(problems, ['(line 2): config.toml is not valid TOML: invalid value (texts need quotes)'])
  try {
    read(`secret = ${SECRET}`)
    assert.fail('was accepted')
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.cause, undefined)
  }
  assert.match(problemsOf('иван = 1').join(), /need quotes/)
  assert.equal(problemsOf('a = '.padEnd(1000, '[')).length, 1)
  assert.equal(problemsOf('debug = true\ndebug = false').length, 1)
})

test('a misspelt key warns with the key that was meant, and the proxy starts', () => {
  assert.deepEqual(
    warningsOf(
      `concurency = 5\ndomain_fronting.port = 3\nidle = "5s"\nquota = 1\n${MINIMAL}[network.timeout]\ntpc = "1s"`,
    ),
    [
      'concurency (line 1): unknown key, ignored: did you mean concurrency?',
      'domain_fronting (line 2): unknown key, ignored: did you mean domain-fronting?',
      'idle (line 3): unknown key, ignored: did you mean network.timeout.idle?',
      'quota (line 4): unknown key, ignored',
      'network.timeout.tpc (line 8): unknown key, ignored: did you mean tcp?',
    ],
  )
})

test('a misspelt key is told together with the key that is missing because of it', () => {
  assert.deepEqual(problemsOf(`secret = "${SECRET}"\nbind_to = "0.0.0.0:1"`), [
    'bind-to: required: an address to listen on, such as "0.0.0.0:3128"',
    'bind_to (line 2): unknown key, ignored: did you mean bind-to?',
  ])
})

test('a global key inside of a section is named as such', () => {
  assert.deepEqual(warningsOf(`${MINIMAL}[domain-fronting]\nconcurrency = 5`), [
    'domain-fronting.concurrency (line 4): unknown key, ignored: concurrency is a global key, move it above the first [section]',
  ])
  assert.match(
    problemsOf(`${MINIMAL}[dc]\ndebug = true`).join(),
    /dc\.debug \(line 4\): debug is a global key/,
  )
})

test('known keys are known in any letter case, and count once', () => {
  const config = read(`Secret = "${SECRET}"\nBIND-TO = "0.0.0.0:1"\n[Network.TimeOut]\nTCP = "9s"`)
  assert.equal(config.network.timeout.tcpMs, 9000)
  assert.deepEqual(problemsOf(`${MINIMAL}Concurrency = 1\nconcurrency = 2`), [
    'concurrency (line 4): expected only one of Concurrency and concurrency: they are the same key',
  ])
})

test('every key of the reference without an effect is accepted, whatever its value, and named', () => {
  for (const { key } of KEYS_WITHOUT_EFFECT) {
    const [warning, ...others] = warningsOf(`${key} = "x"\n${MINIMAL}`)
    assert.match(
      warning ?? '',
      new RegExp(`^${key} \\(line 1\\): accepted, but has no effect in this version`),
    )
    assert.deepEqual(others, [])
  }
})

test('unset, false, 0 and "" are different things', () => {
  assert.ok(read(MINIMAL).defense.antiReplay.enabled)
  assert.ok(!read(`defense.anti-replay.enabled = false\n${MINIMAL}`).defense.antiReplay.enabled)
  assert.equal(read(`shutdown-timeout = "0s"\n${MINIMAL}`).shutdownTimeoutMs, 0)
  for (const line of [
    'concurrency = 0',
    'public-ipv4 = ""',
    'network.timeout.idle = "0s"',
    'api-bind-to = ""',
    'bind-to = ""',
  ])
    assert.ok(
      problemsOf(`${line}\nsecret = "${SECRET}"`).some((problem) => problem.includes('found')),
      line,
    )
})

test('a replay set that is too small is raised with a warning', () => {
  const text = `defense.anti-replay.max-size = "1mib"\n${MINIMAL}`
  assert.equal(read(text).defense.antiReplay.maxSizeBytes, 16 * 2 ** 20)
  assert.match(warningsOf(text).join(), /max-size \(line 1\): found "1mib", raised to 16mib/)
})

test('a file from an editor on Windows is read', () => {
  assert.equal(read(`\uFEFF${MINIMAL.replaceAll('\n', '\r\n')}`).users.length, 1)
})

test('keys of the JavaScript language are ordinary unknown keys', () => {
  assert.equal(warningsOf(`__proto__ = 1\nconstructor = 2\n${MINIMAL}`).length, 2)
})

test('a secret that stands in the wrong place is not shown', () => {
  const values = [
    `"${SECRET}"`,
    `["${SECRET}"]`,
    `{ a = "${SECRET}" }`,
    `"dd${KEY}"`,
    `"${KEY}"`,
    `"${KEY} "`,
  ]
  for (const key of CONFIG_KEYS) {
    for (const value of values) {
      const told = problemsOf(`${key} = ${value}\n`).join('\n')
      assert.ok(!told.includes(KEY), `${key} = ${value}: ${told}`)
    }
  }
})

test('no text of an operator is met with anything but a config or a list of problems', () => {
  const value = fc.oneof(
    fc.constantFrom(
      'true',
      '0',
      '-1',
      '1.5',
      'nan',
      '"auto"',
      '"5s"',
      '[]',
      '[[1]]',
      '{}',
      '{ a = 1 }',
      '1979-05-27',
      `"${SECRET}"`,
    ),
    fc.string().map((text) => JSON.stringify(text)),
  )
  const key = fc.constantFrom(
    ...CONFIG_KEYS,
    ...KEYS_WITHOUT_EFFECT.map((row) => row.key),
    'secrets.a',
    'dc.2',
    'x',
  )
  const line = fc.tuple(key, value).map(([name, text]) => `${name} = ${text}`)
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (lines) =>
      assert.ok(Array.isArray(problemsOf(lines.join('\n')))),
    ),
  )
})
