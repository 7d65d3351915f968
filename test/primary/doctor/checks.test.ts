import assert from 'node:assert/strict'
import { test } from 'node:test'

import { type Check, type CheckStatus, judge, type LineMark, runCheck } from '#primary/doctor/check'
import { checkConfigWarnings } from '#primary/doctor/config-warnings'
import { checkDcConnectivity } from '#primary/doctor/dc-connectivity'
import { checkDeprecatedOptions } from '#primary/doctor/deprecated-options'
import { checkDescriptorLimit } from '#primary/doctor/descriptor-limit'
import { formatDuration } from '#primary/doctor/format-duration'
import { checkFrontingLoop, type FrontingLoopOptions } from '#primary/doctor/fronting-loop'
import { checkSniDns, type SniDnsOptions } from '#primary/doctor/sni-dns'
import { checkTimeSkewness } from '#primary/doctor/time-skewness'
import { DialError } from '#shared/errors'
import type { PreferIp } from '#shared/dc'
import type { DcProbeTask } from '#shared/dc-probe'

import { startFakeNtp } from './fake-ntp.ts'

const PUBLIC = { ipv4: '203.0.113.1', ipv6: '2001:db8::1' }
const UNKNOWN = { ipv4: null, ipv6: null }

/** Status and lines, one string each. */
async function summarize(check: Check): Promise<string[]> {
  const { status, lines } = await runCheck(check)
  return [status, ...lines.map((line) => `${line.mark} ${line.text}`)]
}

test('a check is as bad as its worst line', () => {
  const cases: readonly (readonly [readonly LineMark[], CheckStatus])[] = [
    [[], 'ok'],
    [['ok', 'skip'], 'ok'],
    [['skip'], 'skip'],
    [['ok', 'warn'], 'warn'],
    [['warn', 'fail'], 'fail'],
    [['ok', 'error'], 'fail'],
  ]
  for (const [marks, status] of cases) assert.equal(judge(marks.map((mark) => ({ mark, text: '' }))), status)
})

test('a check that hangs or throws is a failure that says so, and is told to stop', async () => {
  let stopped = false
  const hanging: Check = {
    id: 'x',
    title: 'X',
    timeoutMs: 50,
    run: (signal) =>
      new Promise(() => {
        signal.addEventListener('abort', () => (stopped = true))
      }),
  }
  assert.deepEqual(await summarize(hanging), ['fail', 'error timed out after 50 ms'])
  assert.ok(stopped)
  const throwing: Check = { ...hanging, run: () => Promise.reject(new Error('no such thing')) }
  assert.deepEqual(await summarize(throwing), ['fail', 'error no such thing'])
})

test('durations are written as Go writes them', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0s'],
    [0.0004, '0s'],
    [0.85, '850µs'],
    [12.3456, '12.346ms'],
    [-12.5, '-12.5ms'],
    [999.9996, '1s'],
    [1250, '1.25s'],
    [62_000, '1m2s'],
    [3_723_500, '1h2m3.5s'],
  ]
  for (const [durationMs, text] of cases) assert.equal(formatDuration(durationMs), text)
})

test('each deprecated option is named with its successor, whatever its letter case', async () => {
  assert.deepEqual(await summarize(checkDeprecatedOptions('bind-to = "0.0.0.0:443"')), ['ok', 'ok All good'])
  const text = `
    Domain-Fronting-IP = "10.0.0.1"
    domain-fronting-port = 443
    domain-fronting-proxy-protocol = false
    network.doh-ip = "1.1.1.1"
    [domain-fronting]
    ip = "10.0.0.1"
    [secrets]
    doh-ip = "a user"
  `
  assert.deepEqual(await summarize(checkDeprecatedOptions(text)), [
    'warn',
    'warn domain-fronting-ip is deprecated, gone in 2.3.0: use host in [domain-fronting]',
    'warn ip in [domain-fronting] is deprecated, gone in 2.4.0: use host in [domain-fronting]',
    'warn domain-fronting-port is deprecated, gone in 2.3.0: use port in [domain-fronting]',
    'warn domain-fronting-proxy-protocol is deprecated, gone in 2.3.0: use proxy-protocol in [domain-fronting]',
    'warn doh-ip in [network] is deprecated, gone in 2.3.0: use dns in [network]',
  ])
})

test('what run would warn about is shown, but no deprecated option twice', async () => {
  const warnings = [
    { path: 'network.doh-ip', line: 3, expected: 'deprecated' },
    { path: 'domain-frontng', line: 7, expected: 'unknown key, ignored: did you mean domain-fronting?' },
  ]
  assert.deepEqual(await summarize(checkConfigWarnings(warnings)), [
    'warn',
    'warn domain-frontng (line 7): unknown key, ignored: did you mean domain-fronting?',
  ])
  assert.deepEqual(await summarize(checkConfigWarnings([])), ['ok', 'ok All good'])
})

test('a drift is judged by its share of the tolerance, and the advice says which way', async (t) => {
  const toleranceMs = 100_000
  const cases = [
    [10_000, 'ok', /^$/],
    [50_000, 'warn', /is slow/],
    [90_000, 'fail', /is slow/],
    [-90_000, 'fail', /is fast/],
  ] as const
  for (const [aheadMs, expected, advice] of cases) {
    const server = await startFakeNtp(t, { aheadMs })
    const result = await runCheck(checkTimeSkewness(toleranceMs, server))
    assert.equal(result.status, expected)
    assert.match(result.lines[0]?.text ?? '', /^Time drift is \S+s, tolerate-time-skewness is 1m40s$/)
    assert.match(result.advice.join(), advice)
  }
})

test('a time server that refuses is an error, for nothing was measured', { timeout: 30_000 }, async (t) => {
  const server = await startFakeNtp(t, { spoil: (answer) => answer.subarray(0, 4) })
  assert.deepEqual(await summarize(checkTimeSkewness(5000, server)), [
    'fail',
    'error cannot access ntp pool: an answer of 4 bytes',
  ])
})

test('data centres are probed on the allowed families, IPv4 first, and printed in their order', async () => {
  const v4 = { host: '192.0.2.1', port: 443 }
  const v6 = { host: '2001:db8::2', port: 443 }
  const tasks: DcProbeTask[] = []
  const check = (preferIp: PreferIp): Check =>
    checkDcConnectivity({
      id: 'native-connectivity',
      title: 'T',
      dcs: { 203: [v6], 1: [v6, v4] },
      preferIp,
      upstream: null,
      advice: 'do something',
      prober: {
        close: async () => {},
        probe: async (task) => {
          tasks.push(task)
          return task.dc === 1
            ? { ok: true, address: v4, rttMs: 12.3456 }
            : { ok: false, reasons: ['tcp connect to a: x', 'rpc handshake to b: y'] }
        },
      },
    })
  const result = await runCheck(check('prefer-ipv6'))
  assert.deepEqual(result, {
    id: 'native-connectivity',
    title: 'T',
    status: 'fail',
    lines: [
      { mark: 'ok', text: 'DC 1 (rpc 12.346ms)' },
      { mark: 'fail', text: 'DC 203: tcp connect to a: x; rpc handshake to b: y' },
    ],
    advice: ['do something'],
  })
  await runCheck(check('only-ipv6'))
  assert.deepEqual(
    tasks.map((task) => task.addresses.map((address) => address.host)),
    [[v4.host, v6.host], [v6.host], [v6.host], [v6.host]],
  )
})

function sniDns(options: Partial<SniDnsOptions>): Check {
  return checkSniDns({
    hosts: ['a.example'],
    resolve: async () => ['198.51.100.7', '203.0.113.1'],
    findPublicIps: async () => PUBLIC,
    ...options,
  })
}

test('a host matches when any of its addresses is a public one of ours, however it is spelt', async () => {
  assert.deepEqual(await summarize(sniDns({})), [
    'ok',
    'ok a.example resolves to 203.0.113.1, our public address',
  ])
  assert.equal((await summarize(sniDns({ resolve: async () => ['2001:0db8:0::1'] })))[0], 'ok')
})

test('every host of every user is compared, and a mismatch shows both sides', async () => {
  const check = sniDns({
    hosts: ['a.example', 'b.example', 'c.example'],
    resolve: async (host) => {
      if (host === 'c.example') throw new DialError('unresolved', 'cannot resolve c.example: no such name')
      return host === 'a.example' ? ['203.0.113.1'] : ['192.0.2.1', '192.0.2.2']
    },
    findPublicIps: async () => ({ ...PUBLIC, ipv6: null }),
  })
  assert.deepEqual(await summarize(check), [
    'fail',
    'ok a.example resolves to 203.0.113.1, our public address',
    'fail b.example resolves to "192.0.2.1", "192.0.2.2", our public addresses are 203.0.113.1 and <not detected>',
    'error cannot resolve c.example: no such name',
  ])
})

test('without a public address nothing can be compared', async () => {
  assert.deepEqual(await summarize(sniDns({ findPublicIps: async () => UNKNOWN })), [
    'fail',
    'error cannot detect public IP address',
  ])
})

function loop(options: Partial<FrontingLoopOptions>): Check {
  return checkFrontingLoop({
    targets: [{ serverName: 'a.example', host: 'a.example', port: 443 }],
    bindTo: [{ host: '0.0.0.0', port: 443 }],
    isPinned: false,
    resolve: async () => ['203.0.113.1'],
    findPublicIps: async () => PUBLIC,
    ...options,
  })
}

test('a fronting host that leads back to this proxy is a failure', async () => {
  const itself = ['fail', 'fail a.example:443 is this proxy itself (203.0.113.1:443)']
  assert.deepEqual(await summarize(loop({})), itself)
  assert.deepEqual(await summarize(loop({ resolve: async () => ['192.0.2.1'] })), [
    'ok',
    'ok a.example:443 is another server',
  ])
  const onLoopback = loop({ resolve: async () => ['127.0.0.1'], findPublicIps: async () => UNKNOWN })
  assert.deepEqual(await summarize(onLoopback), [
    'fail',
    'fail a.example:443 is this proxy itself (127.0.0.1:443)',
  ])
})

test('another port of this host is worth a warning, unless the operator has chosen it', async () => {
  const behindRouter = { bindTo: [{ host: '127.0.0.1', port: 3128 }] }
  assert.deepEqual(await summarize(loop(behindRouter)), [
    'warn',
    'warn a.example:443 is port 443 of this host, which may lead to this proxy again',
  ])
  assert.equal((await summarize(loop({ ...behindRouter, isPinned: true })))[0], 'ok')
})

test('a fronting host without an address is left to the other check', async () => {
  assert.deepEqual(await summarize(loop({ resolve: () => Promise.reject(new Error('x')) })), [
    'skip',
    'skip a.example:443: cannot be resolved',
  ])
})

test('too few descriptors are a warning that names the number', async () => {
  const result = await runCheck(checkDescriptorLimit(8192, 1024))
  assert.deepEqual(
    [result.status, result.lines[0]?.text],
    ['warn', '1024 open files are allowed here, 16484 are needed for concurrency 8192'],
  )
  assert.match(result.advice.join(), /LimitNOFILE=16484/)
  assert.deepEqual(await summarize(checkDescriptorLimit(1, 102)), [
    'ok',
    'ok 102 open files are allowed here, 102 are needed for concurrency 1',
  ])
  assert.deepEqual(await summarize(checkDescriptorLimit(8192, Infinity)), [
    'ok',
    'ok the limit is not known, 16484 are needed for concurrency 8192',
  ])
})
