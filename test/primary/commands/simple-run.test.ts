import assert from 'node:assert/strict'
import { test } from 'node:test'

import { readFlags, type SimpleRunOptions } from '#primary/commands/simple-run'
import { formatConfigWarning } from '#primary/config/warning'
import { UsageError } from '#primary/exit'

import { LIMIT_MS, runProgram, startProgram } from './run-program.ts'
import { findFreePort } from '../../support/free-port.ts'

const timeout = LIMIT_MS
const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const PLAIN: SimpleRunOptions = {
  bindTo: '127.0.0.1:3128',
  secret: SECRET,
  debug: false,
  proxyProtocolListener: false,
  socks5Proxies: [],
  texts: {},
}

function warningsOf(options: SimpleRunOptions): readonly string[] {
  return readFlags(options)
    .warnings.map(formatConfigWarning)
    .filter((text) => !text.endsWith('in this version'))
}

test('without flags it is the configuration that the reference forces', () => {
  const { config } = readFlags(PLAIN)
  assert.deepEqual(
    {
      users: config.users.map((user) => user.name),
      bindTo: config.bindTo,
      debug: config.debug,
      concurrency: config.concurrency,
      preferIp: config.preferIp,
      fallback: config.allowFallbackOnUnknownDc,
      api: config.apiBindTo,
      throttle: config.throttle.maxConnections,
      front: [config.domainFronting.host, config.domainFronting.port],
      dns: config.network.dns,
      proxies: config.network.proxies,
      timeout: config.network.timeout,
      antiReplay: config.defense.antiReplay,
      lists: [config.defense.blocklist.enabled, config.defense.allowlist.enabled],
      metrics: [config.stats.prometheus.enabled, config.stats.statsd.enabled],
      proxyProtocol: config.proxyProtocolListener,
    },
    {
      users: ['default'],
      bindTo: [{ host: '127.0.0.1', port: 3128 }],
      debug: false,
      concurrency: 8192,
      preferIp: 'prefer-ipv6',
      fallback: true,
      api: null,
      throttle: 0,
      front: [null, 443],
      dns: { kind: 'https', host: '1.1.1.1', port: 443, path: '/dns-query' },
      proxies: [],
      // The relay's own limit stays (decision O8).
      timeout: { tcpMs: 10_000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 10_000 },
      antiReplay: { enabled: true, maxSizeBytes: 16 * 2 ** 20 },
      lists: [false, false],
      metrics: [false, false],
      proxyProtocol: false,
    },
  )
  assert.deepEqual(warningsOf(PLAIN), [])
})

test('each flag arrives where it belongs', () => {
  const options: SimpleRunOptions = {
    ...PLAIN,
    debug: true,
    proxyProtocolListener: true,
    socks5Proxies: ['socks5://10.0.0.1,socks5://10.0.0.2:9', 'socks5://10.0.0.3'],
    texts: {
      concurrency: '70000',
      'tcp-buffer': 'anything',
      'prefer-ip': 'Only-IPv4',
      'domain-fronting-port': '8443',
      'domain-fronting-host': 'front.example',
      'domain-fronting-ip': '10.0.0.9',
      'doh-ip': '2606:4700::1111',
      timeout: '1m',
      'antireplay-cache-size': '1MB',
    },
  }
  const { config } = readFlags(options)
  assert.deepEqual(
    [config.debug, config.proxyProtocolListener, config.concurrency, config.preferIp],
    [true, true, 70_000, 'only-ipv4'],
  )
  assert.deepEqual([config.domainFronting.host, config.domainFronting.port], ['front.example', 8443])
  assert.deepEqual(
    config.network.proxies.map((proxy) => (proxy.kind === 'direct' ? 'direct' : [proxy.host, proxy.port])),
    [
      ['10.0.0.1', 1080],
      ['10.0.0.2', 9],
      ['10.0.0.3', 1080],
    ],
  )
  assert.deepEqual(config.network.dns, {
    kind: 'https',
    host: '2606:4700::1111',
    port: 443,
    path: '/dns-query',
  })
  assert.deepEqual(config.network.timeout, {
    tcpMs: 60_000,
    httpMs: 60_000,
    idleMs: 300_000,
    handshakeMs: 10_000,
  })
  assert.deepEqual(warningsOf(options), [
    'config option "domain-fronting-ip" is deprecated and ignored',
    'antireplay-cache-size: found "1MB", raised to 16mib: less would forget hellos too early',
  ])
})

test('the secret may stay out of the command line', (t) => {
  process.env['MTG_TEST_SECRET'] = SECRET
  t.after(() => delete process.env['MTG_TEST_SECRET'])
  const { config } = readFlags({ ...PLAIN, secret: 'env:MTG_TEST_SECRET' })
  assert.equal(config.users[0]?.secrets[0]?.host, 'example.com')
})

test('what is no number, address or duration at all is wrong usage', () => {
  const wrong: readonly (readonly [SimpleRunOptions['texts'], string])[] = [
    [{ concurrency: '5x' }, '--concurrency: expected a number'],
    [{ 'domain-fronting-port': '-1' }, '--domain-fronting-port: expected a number'],
    [{ 'domain-fronting-ip': 'example.com' }, '--domain-fronting-ip: expected an IP address'],
    [{ 'doh-ip': '1.1.1' }, '--doh-ip: expected an IP address'],
    [{ timeout: '5' }, '--timeout: expected a duration with its unit, such as "10s"'],
  ]
  for (const [texts, message] of wrong)
    assert.throws(() => readFlags({ ...PLAIN, texts }), new UsageError(message))
})

test('values that cannot be are told by their flags, all of them at once', { timeout }, async (t) => {
  const args = ['simple-run', 'nope', `dd${KEY}`, '-c', '70000000', '-i', 'ipv4', '-p', '99999', '-a', '5']
  const flags = ['-s', 'http://user:password@10.0.0.1', '--domain-fronting-host', 'a:1']
  assert.deepEqual(await runProgram(t, [...args, ...flags]), {
    code: 1,
    stdout: '',
    stderr: `mtg-multi: error: incorrect secret: found "dd…" (34 characters), expected a fake-TLS secret, beginning with "ee" in hex or "7" in base64url; others are not supported
  incorrect bind-to: found "nope", expected an IP address and a port, such as "0.0.0.0:3128" or "[::]:3128"
  incorrect concurrency: found 70000000, expected an integer from 0 to 1000000
  incorrect prefer-ip: found "ipv4", expected one of "prefer-ipv4", "prefer-ipv6", "only-ipv4", "only-ipv6"
  incorrect domain-fronting-host: found "a:1", expected a host name or an IP address, without port and scheme, such as "example.com"
  incorrect domain-fronting-port: found 99999, expected an integer from 0 to 65535
  incorrect socks5-proxy: found "http://…@10.0.0.1", expected "socks5://[user:password@]host[:port]", or "" for a direct connection
  incorrect antireplay-cache-size: found "5", expected a size with its unit, such as "16mib"
`,
  })
})

test('a wrong command line is one line and exit code 80', { timeout }, async (t) => {
  const wrong: readonly (readonly [readonly string[], string])[] = [
    [['127.0.0.1:1'], 'an argument is missing: see mtg-multi simple-run --help'],
    [
      ['127.0.0.1:1', SECRET, '--timeout', '5'],
      '--timeout: expected a duration with its unit, such as "10s"',
    ],
    [['127.0.0.1:1', SECRET, '--unknown'], 'unexpected argument: unknown'],
  ]
  for (const [args, message] of wrong)
    assert.deepEqual(await runProgram(t, ['simple-run', ...args]), {
      code: 80,
      stdout: '',
      stderr: `mtg-multi: error: ${message}\n`,
    })
})

test('it serves, logs JSON lines and stops on a signal', { timeout }, async (t) => {
  const port = await findFreePort()
  // A flag that takes a list ends before the next word, and of a flag that is repeated the last one counts.
  const front = ['--domain-fronting-host', '127.0.0.1', '--domain-fronting-port', '9']
  const args = [...front, '-s', '', '-c', '1', '-c', '50', '-d', `127.0.0.1:${port}`, SECRET]
  const program = startProgram(t, ['simple-run', ...args])
  await program.waitFor('"listening"')
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0)
  assert.equal(program.stderr, '')
  const listening = program.log().find((line) => line['message'] === 'listening')
  assert.equal(listening?.['bind'], `127.0.0.1:${port}`)
  assert.ok(!program.stdout.includes(KEY))
})
