import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'

import { type DoctorOptions, runDoctor } from '#primary/commands/doctor'

import { startFakeDc } from '../doctor/fake-dc.ts'
import { startFakeNtp } from '../doctor/fake-ntp.ts'
import { startFakeSocks } from '../doctor/fake-socks.ts'
import { CERTIFICATE, startTlsSite } from '../doctor/tls-site.ts'
import { addressRecord, NXDOMAIN, startDnsServer } from '../../support/dns-server.ts'
import { findFreePort } from '../../support/free-port.ts'
import { makeDirectory } from '../../support/make-directory.ts'

/** Liveness: threads start, everything else takes milliseconds. */
const timeout = 60_000
const HEX = 'ee000102030405060708090a0b0c0d0e0f6578616d706c652e636f6d'
const OTHER = `ee${'11'.repeat(16)}612e6578616d706c652e636f6d`
const DC_IDS = [1, 2, 3, 4, 5, 203]

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

/** `localhost` is this machine, every other name is the proxy's public address. */
async function resolveAny(host: string): Promise<readonly string[]> {
  return host === 'localhost' ? ['127.0.0.1'] : ['203.0.113.1']
}

/**
 * A machine on which everything is as it should be, on ports of 127.0.0.1.
 * @param resolve null for the resolver that the configuration names
 */
async function startWorld(
  t: TestContext,
  resolve: ((host: string) => Promise<readonly string[]>) | null = resolveAny,
): Promise<{
  config: string
  examine: (config: string, options?: Partial<DoctorOptions>, isTTY?: boolean) => Promise<Outcome>
  sitePort: number
}> {
  const dc = await startFakeDc(t)
  const ntp = await startFakeNtp(t)
  const site = await startTlsSite(t, { ecdhCurve: 'X25519' })
  const dcs = DC_IDS.map((id) => `${id} = ["127.0.0.1:${dc.address.port}"]`)
  const config = `
bind-to = "127.0.0.1:${await findFreePort()}"
public-ipv4 = "203.0.113.1"
public-ipv6 = "2001:db8::1"
concurrency = 10
tolerate-time-skewness = "1h"
domain-fronting = { host = "localhost", port = ${site.port} }
dc = { ${dcs.join(', ')} }
`
  return {
    config,
    sitePort: site.port,
    examine: async (text, options = {}, isTTY = false) => {
      const outcome: Outcome = { code: -1, stdout: '', stderr: '' }
      const configPath = join(makeDirectory(t, { 'config.toml': text }), 'config.toml')
      outcome.code = await runDoctor(
        { configPath, json: false, skipNativeCheck: false, ...options },
        {
          stdout: { write: (chunk) => (outcome.stdout += chunk) },
          stderr: { write: (chunk) => (outcome.stderr += chunk), isTTY, columns: 80 },
          ntpServer: ntp,
          publicIpUrl: 'http://127.0.0.1:1',
          ...(resolve === null ? {} : { resolve }),
          ca: CERTIFICATE,
        },
      )
      return outcome
    },
  }
}

/** Times and limits are those of the machine. */
function normalize(text: string): string {
  return text
    .replace(/rpc \S+s\)/g, 'rpc T)')
    .replace(/drift is \S+,/, 'drift is T,')
    .replace(/\d+ open files|the limit is not known/, 'N open files')
}

const GOOD_DCS = DC_IDS.map((id) => `  ✅ DC ${id} (rpc T)\n`).join('')

test('a healthy machine: every heading in its order, and exit code 0', { timeout }, async (t) => {
  const { config, examine, sitePort } = await startWorld(t)
  const { code, stdout, stderr } = await examine(`${config}[secrets]\nanna = "${HEX}"\nbert = "${OTHER}"\n`)
  assert.equal(
    normalize(stdout),
    `Deprecated options
  ✅ All good
Configuration
  ✅ All good
Time skewness
  ✅ Time drift is T, tolerate-time-skewness is 1h0m0s
Validate native network connectivity
${GOOD_DCS}Validate fronting domain connectivity
  ✅ localhost:${sitePort} as example.com is reachable (TLSv1.3, X25519, certificate until 2126-11-23)
  ✅ localhost:${sitePort} as a.example.com is reachable (TLSv1.3, X25519, certificate until 2126-11-23)
Validate SNI-DNS match
  ✅ example.com resolves to 203.0.113.1, our public address
  ✅ a.example.com resolves to 203.0.113.1, our public address
Validate that fronting does not lead back here
  ✅ localhost:${sitePort} is another server
Descriptor limit
  ✅ N open files are allowed here, 120 are needed for concurrency 10
`,
  )
  assert.deepEqual([code, stderr], [0, ''])
})

test('warnings alone keep exit code 0, a failure makes it 1 and says what to do', { timeout }, async (t) => {
  const { config, examine } = await startWorld(t)
  const warned = await examine(`domain-fronting-port = 443\nconcurency = 1\n${config}\nsecret = "${HEX}"\n`, {
    skipNativeCheck: true,
  })
  assert.equal(warned.code, 0)
  for (const text of [
    '  ⚠️ domain-fronting-port is deprecated, gone in 2.3.0: use port in [domain-fronting]\n     → ',
    '  ⚠️ concurency (line 2): unknown key, ignored: did you mean concurrency?\n',
    'Validate native network connectivity\n  ⏭ Skipped (--skip-native-check)\n',
  ])
    assert.ok(warned.stdout.includes(text), `${text} in ${warned.stdout}`)

  const closed = await findFreePort()
  const broken = config.replace(/^dc = .*$/m, `dc = { 2 = ["127.0.0.1:${closed}"] }\nprefer-ip = "only-ipv6"`)
  const failed = await examine(broken.replace('203.0.113.1', '203.0.113.7') + `\nsecret = "${HEX}"\n`, {
    skipNativeCheck: true,
  })
  assert.equal(failed.code, 1)
  assert.match(
    failed.stdout,
    / {2}❌ example\.com resolves to "203\.0\.113\.1", our public addresses are 203\.0\.113\.7 and 2001:db8::1\n {5}→ /,
  )
})

test('--json is one object with the same findings, and nothing beside it', { timeout }, async (t) => {
  const { config, examine } = await startWorld(t)
  const { code, stdout, stderr } = await examine(`${config}\nsecret = "${HEX}"\n`, { json: true })
  const { status, checks } = JSON.parse(stdout) as {
    status: string
    checks: { id: string; status: string; lines: { mark: string; text: string }[] }[]
  }
  assert.deepEqual([code, stderr, status], [0, '', 'ok'])
  assert.deepEqual(
    checks.map((check) => [check.id, check.status]),
    [
      ['deprecated-options', 'ok'],
      ['config-warnings', 'ok'],
      ['time-skewness', 'ok'],
      ['native-connectivity', 'ok'],
      ['fronting-domain', 'ok'],
      ['sni-dns', 'ok'],
      ['fronting-loop', 'ok'],
      ['descriptor-limit', 'ok'],
    ],
  )
  assert.deepEqual(checks[0]?.lines, [{ mark: 'ok', text: 'All good' }])
})

test(
  'each SOCKS5 server is tried on its own, and its credentials are not printed',
  { timeout },
  async (t) => {
    const { config, examine } = await startWorld(t)
    const socks = await startFakeSocks(t, 'anna', 'hunter2')
    const closed = await findFreePort()
    const proxies = [
      `socks5://anna:hunter2@127.0.0.1:${socks.port}`,
      '',
      `socks5://anna:wrong-one@127.0.0.1:${socks.port}`,
      `socks5://127.0.0.1:${closed}`,
    ]
    const { code, stdout } = await examine(
      `${config}\nsecret = "${HEX}"\n[network]\nproxies = ${JSON.stringify(proxies)}\n`,
      { skipNativeCheck: true },
    )
    assert.equal(code, 1)
    const title = 'Validate network connectivity with proxy'
    assert.ok(
      normalize(stdout).includes(`${title} socks5://***@127.0.0.1:${socks.port}\n${GOOD_DCS}`),
      stdout,
    )
    assert.match(
      stdout,
      new RegExp(`${title} socks5://127\\.0\\.0\\.1:${closed}\n  ❌ DC 1: tcp connect to .*ECONNREFUSED`),
    )
    assert.equal(stdout.split(title).length, 4)
    assert.doesNotMatch(stdout, /anna|hunter2|wrong-one/)
    assert.equal(socks.targets.length, DC_IDS.length)
  },
)

test('a terminal sees what is being waited for, and none of it stays', { timeout }, async (t) => {
  const { config, examine } = await startWorld(t)
  const { stdout, stderr } = await examine(`${config}\nsecret = "${HEX}"\n`, { skipNativeCheck: true }, true)
  assert.match(stderr, /^waiting: Deprecated options and 7 more/)
  assert.ok(stderr.endsWith('\r\u001b[K'))
  assert.doesNotMatch(stdout, /waiting|\r/)
})

test('names are resolved as the configuration says, those of SOCKS5 servers too', { timeout }, async (t) => {
  const dns = await startDnsServer(t, ({ name, type }) => {
    const address = { 'example.com': '203.0.113.1', 'socks.example': '127.0.0.1' }[name]
    return type === 'A' && address !== undefined
      ? { answers: [addressRecord(name, address)] }
      : { rcode: NXDOMAIN }
  })
  const socks = await startFakeSocks(t, 'anna', 'hunter2')
  const { config, examine } = await startWorld(t, null)
  const { stdout } = await examine(
    `secret = "${HEX}"\n${config}[network]\ndns = "udp://127.0.0.1:${dns.port}"\n` +
      `proxies = ["socks5://anna:hunter2@socks.example:${socks.port}", "socks5://nowhere.example"]\n`,
  )
  assert.match(stdout, /✅ example\.com resolves to 203\.0\.113\.1, our public address/)
  assert.match(normalize(stdout), /with proxy socks5:\/\/\*\*\*@socks\.example:\d+\n {2}✅ DC 1 \(rpc T\)/)
  assert.match(stdout, /❌ DC 1: cannot resolve nowhere\.example: there is no such name/)
})

test(
  'the site is looked at by the way that strangers take, data centres by those of [dc-routes]',
  { timeout },
  async (t) => {
    const { config, examine, sitePort } = await startWorld(t)
    const usual = await startFakeSocks(t, 'anna', 'hunter2')
    const own = await startFakeSocks(t, 'anna', 'hunter2')
    const file =
      `${config.replace('domain-fronting = {', 'domain-fronting = { via-proxies = true,')}secret = "${HEX}"\n` +
      `[network]\nproxies = ["socks5://anna:hunter2@127.0.0.1:${usual.port}"]\n` +
      `[dc-routes]\n203 = "socks5://anna:hunter2@127.0.0.1:${own.port}"\n`
    const { code, stdout } = await examine(file, { skipNativeCheck: true })
    assert.equal(code, 0, stdout)
    assert.match(stdout, new RegExp(`localhost:${sitePort} as example\\.com is reachable`))
    assert.ok(usual.targets.includes(`127.0.0.1:${sitePort}`))
    assert.match(
      normalize(stdout),
      new RegExp(
        `with proxy socks5://\\*\\*\\*@127\\.0\\.0\\.1:${own.port}\n  ✅ DC 203 \\(rpc T\\)\nValidate`,
      ),
    )
    assert.equal(own.targets.length, 1)
  },
)
