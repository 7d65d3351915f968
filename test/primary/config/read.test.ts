import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { readConfig } from '#primary/config/read'
import { CONFIG_KEYS, SCHEMA } from '#primary/config/schema'
import { formatConfigWarning } from '#primary/config/warning'
import type { IpListConfig, ProxyConfig } from '#shared/config'
import { BUILT_IN_DCS } from '#shared/dc'
import { ConfigError, formatConfigProblem } from '#shared/errors'
import * as fc from 'fast-check'

const THIS_FILE = fileURLToPath(import.meta.url)
const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const MINIMAL = `secret = "${SECRET}"\nbind-to = "0.0.0.0:3128"\n`

function read(text: string): ProxyConfig {
  return readConfig(text, { fileName: 'config.toml' }).config
}

function warningsOf(text: string): readonly string[] {
  return readConfig(text, { fileName: 'config.toml' }).warnings.map(formatConfigWarning)
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

const NO_IP_LIST: IpListConfig = {
  enabled: false,
  sources: [],
  downloadConcurrency: 2,
  updateEachMs: 86_400_000,
  action: 'close',
}

test('a secret and an address are enough, and everything else has its default', () => {
  assert.deepEqual(read(MINIMAL), {
    debug: false,
    users: [
      {
        name: 'default',
        secrets: [{ key: new Uint8Array(Buffer.from(KEY, 'hex')), host: 'example.com' }],
        quota: null,
        overLimit: 'close',
      },
    ],
    bindTo: [{ host: '0.0.0.0', port: 3128 }],
    listenBacklog: 4096,
    reusePort: false,
    proxyProtocolListener: false,
    proxyProtocolTrusted: ['0.0.0.0/0', '::/0'],
    apiBindTo: null,
    apiToken: null,
    apiAllowedHosts: [],
    apiPathPrefix: '',
    stateFile: null,
    concurrency: 8192,
    preferIp: 'prefer-ipv6',
    tolerateTimeSkewnessMs: 5000,
    allowFallbackOnUnknownDc: false,
    publicIpv4: null,
    publicIpv6: null,
    autoUpdate: false,
    shutdownTimeoutMs: 30_000,
    throttle: { maxConnections: 0, checkIntervalMs: 5000, action: 'close' },
    domainFronting: { host: null, port: 443, maxConnections: 4096, proxyProtocol: false, viaProxies: false },
    network: {
      dns: { kind: 'system' },
      proxies: [],
      timeout: { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 10_000 },
      keepAlive: { enabled: true, idleMs: 15_000, intervalMs: 15_000, count: 9 },
      tcpNotSentLowatBytes: 131_072,
    },
    defense: {
      maxHandshakes: 2048,
      maxHandshakesPerAddress: 512,
      antiReplay: { enabled: true, maxSizeBytes: 16 * 2 ** 20 },
      blocklist: NO_IP_LIST,
      allowlist: NO_IP_LIST,
      doppelganger: {
        urls: [],
        repeatsPerRaid: 10,
        raidEachMs: 21_600_000,
        drs: false,
        pacing: 'burst',
        learnFront: true,
      },
    },
    stats: {
      perUserLimit: 1000,
      statsd: {
        enabled: false,
        address: { host: '127.0.0.1', port: 8888 },
        metricPrefix: 'mtg',
        tagFormat: 'datadog',
      },
      prometheus: {
        enabled: false,
        bindTo: { host: '127.0.0.1', port: 3129 },
        httpPath: '/',
        metricPrefix: 'mtg',
      },
    },
    performance: { workers: Math.min(availableParallelism(), 256), fastMode: true, cipher: 'auto' },
    dcs: BUILT_IN_DCS,
    dcRoutes: {},
  })
  assert.deepEqual(warningsOf(MINIMAL), [])
})

const ROUTE = {
  kind: 'socks5',
  host: '10.0.0.3',
  port: 9,
  username: null,
  password: null,
  openThreshold: 5,
  halfOpenTimeoutMs: 60_000,
  resetFailuresTimeoutMs: 10_000,
} as const

test('each key arrives where it belongs', () => {
  const config = read(`
debug = true
bind-to = ["127.0.0.1:443", "[::1]:443"]
listen-backlog = 7
reuse-port = true
proxy-protocol-listener = true
proxy-protocol-trusted = "10.1.2.3/8"
api-bind-to = "unix:/run/api.sock"
api-token = "0123456789abcdef"
api-allowed-hosts = ["Stats.Example.com.", "panel"]
api-path-prefix = "mtg"
state-file = "/var/state"
concurrency = 3
prefer-ip = "only-ipv4"
auto-update = true
tolerate-time-skewness = "7s"
allow-fallback-on-unknown-dc = true
public-ipv4 = "203.0.113.1"
public-ipv6 = "2001:db8::1"
shutdown-timeout = "0"
[throttle]
max-connections = 2
check-interval = "1s"
action = "front"
[domain-fronting]
host = "10.0.0.1"
port = 8443
proxy-protocol = true
via-proxies = true
[network]
dns = "1.1.1.1"
proxies = ["", "socks5://u:p@10.0.0.2"]
keep-alive = { disabled = true, idle = "1s", interval = "2s", count = 3 }
tcp-not-sent-lowat = "64kb"
timeout = { tcp = "1s", http = "2s", idle = "3s", handshake = "4s" }
[defense]
max-handshakes = 500
max-handshakes-per-address = 0
[defense.anti-replay]
enabled = false
max-size = "32mib"
[defense.blocklist]
enabled = true
urls = ["https://example.com/list", "${THIS_FILE}"]
download-concurrency = 3
update-each = "1h"
action = "front"
[defense.allowlist]
urls = "http://example.com/list"
[defense.doppelganger]
urls = ["https://example.com/"]
repeats-per-raid = 4
raid-each = "5h"
drs = true
pacing = "full"
learn-front = false

[stats]
per-user-limit = 50

[stats.statsd]
enabled = true
address = "statsd:8125"
metric-prefix = "s"
tag-format = "Graphite"
[stats.prometheus]
enabled = true
bind-to = "127.0.0.1:1"
http-path = "metrics/"
metric-prefix = "x1"
[performance]
workers = 5
fast-mode = false
cipher = "node"
[dc]
2 = ["127.0.0.1:8443", "[::1]:8443"]
10 = "127.0.0.1:1"
[dc-routes]
203 = "socks5h://10.0.0.3:9"
10 = ["", "socks5://10.0.0.3:9?open_threshold=2"]
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
      listenBacklog: 7,
      reusePort: true,
      proxyProtocolListener: true,
      proxyProtocolTrusted: ['10.0.0.0/8'],
      apiBindTo: { path: '/run/api.sock' },
      apiToken: '0123456789abcdef',
      apiAllowedHosts: ['stats.example.com', 'panel'],
      apiPathPrefix: '/mtg',
      stateFile: '/var/state',
      concurrency: 3,
      preferIp: 'only-ipv4',
      tolerateTimeSkewnessMs: 7000,
      allowFallbackOnUnknownDc: true,
      publicIpv4: '203.0.113.1',
      publicIpv6: '2001:db8::1',
      autoUpdate: true,
      shutdownTimeoutMs: 0,
      throttle: { maxConnections: 2, checkIntervalMs: 1000, action: 'front' },
      domainFronting: {
        host: '10.0.0.1',
        port: 8443,
        maxConnections: 1,
        proxyProtocol: true,
        viaProxies: true,
      },
      network: {
        dns: { kind: 'udp', host: '1.1.1.1', port: 53 },
        proxies: [
          { kind: 'direct' },
          {
            kind: 'socks5',
            host: '10.0.0.2',
            port: 1080,
            username: 'u',
            password: 'p',
            openThreshold: 5,
            halfOpenTimeoutMs: 60_000,
            resetFailuresTimeoutMs: 10_000,
          },
        ],
        timeout: { tcpMs: 1000, httpMs: 2000, idleMs: 3000, handshakeMs: 4000 },
        keepAlive: { enabled: false, idleMs: 1000, intervalMs: 2000, count: 3 },
        tcpNotSentLowatBytes: 65_536,
      },
      defense: {
        maxHandshakes: 500,
        maxHandshakesPerAddress: 0,
        antiReplay: { enabled: false, maxSizeBytes: 32 * 2 ** 20 },
        blocklist: {
          enabled: true,
          sources: [
            { kind: 'url', url: 'https://example.com/list' },
            { kind: 'file', path: THIS_FILE },
          ],
          downloadConcurrency: 3,
          updateEachMs: 3_600_000,
          action: 'front',
        },
        allowlist: { ...NO_IP_LIST, sources: [{ kind: 'url', url: 'http://example.com/list' }] },
        doppelganger: {
          urls: ['https://example.com/'],
          repeatsPerRaid: 4,
          raidEachMs: 18_000_000,
          drs: true,
          pacing: 'full',
          learnFront: false,
        },
      },
      stats: {
        perUserLimit: 50,
        statsd: {
          enabled: true,
          address: { host: 'statsd', port: 8125 },
          metricPrefix: 's',
          tagFormat: 'graphite',
        },
        prometheus: {
          enabled: true,
          bindTo: { host: '127.0.0.1', port: 1 },
          httpPath: '/metrics',
          metricPrefix: 'x1',
        },
      },
      performance: { workers: 5, fastMode: false, cipher: 'node' },
      dcs: {
        ...BUILT_IN_DCS,
        2: [
          { host: '127.0.0.1', port: 8443 },
          { host: '::1', port: 8443 },
        ],
        10: [{ host: '127.0.0.1', port: 1 }],
      },
      dcRoutes: { 10: [{ kind: 'direct' }, { ...ROUTE, openThreshold: 2 }], 203: [ROUTE] },
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
  const text = `concurrency = -1
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
    'concurrency (line 1): found -1, expected an integer from 0 to 1000000',
    'secret (line 2): found "ee…" (20 characters), expected 16 bytes of key after the "ee": this secret is cut off',
    'network.timeout.idle (line 4): found "5", expected a duration with its unit, such as "5s", "1m30s" or "2h"',
    'domain-fronting.port (line 6): found "443", expected an integer from 0 to 65535',
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

test('a way to a data centre is refused and warned of like a proxy, and no part of it is shown', () => {
  const problems = problemsOf(`${MINIMAL}[dc]
10 = "127.0.0.1:1"
[dc-routes]
10 = ""
-2 = ""
7 = ""
203 = ["", "http://anna:hunter2@10.0.0.1"]
4 = []
1 = 5
debug = true
`)
  assert.deepEqual(problems, [
    'dc-routes.-2 (line 7): expected the number of a data centre: 1, 2, 3, 4, 5, 10, 203',
    'dc-routes.7 (line 8): expected the number of a data centre: 1, 2, 3, 4, 5, 10, 203',
    'dc-routes.203 (line 9): found "http://…@10.0.0.1", expected "socks5://[user:password@]host[:port]", or "" for a direct connection',
    'dc-routes.4 (line 10): found an empty array, expected at least one upstream; "" is a direct connection',
    'dc-routes.1 (line 11): found 5, expected "socks5://[user:password@]host[:port]", or "" for a direct connection',
    'dc-routes.debug (line 12): debug is a global key: move it above the first [section]',
  ])
  const warnings = warningsOf(`${MINIMAL}[dc-routes]\n2 = "socks5://anna:hunter2@10.0.0.1?open_threshold=0"`)
  assert.match(warnings.join(), /^dc-routes\.2 \(line 4\): .*open_threshold is not valid, its default holds$/)
  assert.doesNotMatch([...warnings, ...problems].join(), /hunter2|anna/)
})

test('known keys are known in any letter case, and count once', () => {
  const config = read(`Secret = "${SECRET}"\nBIND-TO = "0.0.0.0:1"\n[Network.TimeOut]\nTCP = "9s"`)
  assert.equal(config.network.timeout.tcpMs, 9000)
  assert.deepEqual(problemsOf(`${MINIMAL}Concurrency = 1\nconcurrency = 2`), [
    'concurrency (line 4): expected only one of Concurrency and concurrency: they are the same key',
  ])
})

test('unset, false, 0 and "" are different things', () => {
  assert.ok(read(MINIMAL).defense.antiReplay.enabled)
  assert.ok(!read(`defense.anti-replay.enabled = false\n${MINIMAL}`).defense.antiReplay.enabled)
  assert.equal(read(`shutdown-timeout = "0s"\n${MINIMAL}`).shutdownTimeoutMs, 0)
  // Where the reference has it, zero and the empty text stand for the default, without a word.
  const unset = `concurrency = 0
public-ipv4 = ""
api-bind-to = ""
prefer-ip = ""
tolerate-time-skewness = "0"
[network]
dns = ""
timeout = { tcp = "0s", idle = "0h" }
tcp-not-sent-lowat = "0b"
keep-alive.count = 0
[domain-fronting]
host = ""
port = 0
[defense]
anti-replay = { max-size = "0", error-rate = 0.0 }
blocklist = { update-each = "0s", download-concurrency = 0 }
[stats.statsd]
address = ""
tag-format = ""
`
  assert.deepEqual(read(MINIMAL + unset), read(MINIMAL))
  assert.deepEqual(warningsOf(MINIMAL + unset), [])
  assert.deepEqual(problemsOf(`bind-to = ""\nsecret = "${SECRET}"`), [
    'bind-to (line 1): found "", expected an IP address and a port, such as "0.0.0.0:3128" or "[::]:3128"',
  ])
  assert.deepEqual(problemsOf(`throttle.action = ""\n${MINIMAL}`), [
    'throttle.action (line 1): found "", expected one of "close", "front"',
  ])
})

test('a replay set that is too small is raised with a warning', () => {
  const text = `defense.anti-replay.max-size = "1mib"\n${MINIMAL}`
  assert.equal(read(text).defense.antiReplay.maxSizeBytes, 16 * 2 ** 20)
  assert.match(warningsOf(text).join(), /max-size \(line 1\): found "1mib", raised to 16mib/)
})

test('limits on handshakes follow concurrency unless they are set', () => {
  const limits = (text: string): [number, number] => {
    const { maxHandshakes, maxHandshakesPerAddress } = read(`${text}\n${MINIMAL}`).defense
    return [maxHandshakes, maxHandshakesPerAddress]
  }
  assert.deepEqual(limits(''), [2048, 512])
  assert.deepEqual(limits('concurrency = 100000'), [25_000, 6250])
  assert.deepEqual(limits('concurrency = 100'), [64, 64])
  assert.deepEqual(limits('defense.max-handshakes = 0\ndefense.max-handshakes-per-address = 1'), [0, 1])
  const problems = problemsOf(`defense.max-handshakes = -1\n${MINIMAL}`)
  assert.match(problems.join(), /expected "auto" or an integer from 0 to 1000000/)
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
      const others = MINIMAL.split('\n').filter((line) => !line.startsWith(`${key} `))
      const text = `${key} = ${value}\n${others.join('\n')}`
      const problems = problemsOf(text)
      const told = [...problems, ...(problems.length === 0 ? warningsOf(text) : [])].join('\n')
      assert.ok(!told.includes(KEY), `${key} = ${value}: ${told}`)
    }
  }
})

test('a secret in place of any other text is a problem, or it would be printed', () => {
  const others = CONFIG_KEYS.filter((key) => !('sensitive' in SCHEMA[key]) && key !== 'bind-to')
  assert.ok(others.includes('api-path-prefix') && others.includes('stats.prometheus.metric-prefix'))
  for (const key of others)
    for (const value of [`"${SECRET}"`, `"/${SECRET}"`, `["${SECRET}"]`])
      assert.notDeepEqual(problemsOf(`${key} = ${value}\n${MINIMAL}`), [], `${key} = ${value}`)
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
  const key = fc.constantFrom(...CONFIG_KEYS, 'secrets.a', 'dc.2', 'x')
  const line = fc.tuple(key, value).map(([name, text]) => `${name} = ${text}`)
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), (lines) =>
      assert.ok(Array.isArray(problemsOf(lines.join('\n')))),
    ),
  )
})

test('more SOCKS5 servers than there is room for are a problem of the list that is too long', () => {
  const servers = (count: number, from = 1): string =>
    JSON.stringify(Array.from({ length: count }, (_, at) => `socks5://anna:hunter2@10.0.0.1:${from + at}`))
  const file = (usual: string, own = '[""]'): string =>
    `${MINIMAL}[network]\nproxies = ${usual}\n[dc-routes]\n203 = ${own}\n`
  assert.deepEqual(problemsOf(file(servers(63), servers(63))), [], 'the same ones count once')
  assert.deepEqual(problemsOf(file(servers(64))), [
    'network.proxies (line 4): found 64 SOCKS5 servers in network.proxies and [dc-routes], expected at most 63 different ones',
  ])
  assert.deepEqual(problemsOf(file(servers(60), servers(4, 1000))), [
    'dc-routes (line 5): found 64 SOCKS5 servers in network.proxies and [dc-routes], expected at most 63 different ones',
  ])
})

test('what is too large, too long or too deep ends at its limit, and messages stay lines', () => {
  const secret = `secret = "${SECRET}"\nbind-to = "0.0.0.0:3128"\n`
  const token = (length: number): string => `${secret}api-token = "${'t'.repeat(length)}"`
  const nested = (depth: number): string => `${secret}debug = ${'['.repeat(depth)}${']'.repeat(depth)}`
  const proxy = (url: string): string => `${secret}network.proxies = ["${url}"]`
  for (const good of [
    `${secret}listen-backlog = 65535`,
    token(1024),
    proxy('socks5://proxy.example:65535'),
    `${secret}network.tcp-not-sent-lowat = "1gib"`,
  ])
    assert.deepEqual(problemsOf(good), [], good.slice(-40))
  for (const [bad, message] of [
    [`${secret}listen-backlog = 65536`, /expected an integer from 1 to 65535$/],
    [token(1025), /\(1025 characters\), expected a token of 1 to 1024/],
    [proxy('socks5://proxy.example:65536'), /expected "socks5:/],
    [nested(16), /found an array of 1, expected true or false/],
    [nested(17), /is not valid TOML/],
    [`${secret}prefer-ip = "${'ab '.repeat(100)}"`, /found "(?:ab ){20}…", expected/],
    [`${secret}network.dns = "x://${'a/'.repeat(100)}"`, /found "x:\/\/(?:a\/){58}…", expected/],
  ] as const) {
    const problems = problemsOf(bad)
    assert.equal(problems.length, 1)
    assert.match(problems[0] ?? '', message)
  }
  assert.deepEqual(warningsOf(`${secret}network.tcp-not-sent-lowat = "1025mib"`), [
    'network.tcp-not-sent-lowat (line 3): found "1025mib", lowered to 1gib, the largest there is',
  ])
})
