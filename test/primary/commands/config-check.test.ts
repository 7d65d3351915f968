import assert from 'node:assert/strict'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { readConfigFile } from '#primary/commands/read-config-file'
import { readConfig } from '#primary/config/read'
import { formatConfigWarning } from '#primary/config/warning'
import { parse } from 'smol-toml'

import { REFERENCE_EXAMPLE } from '../config/reference-example.ts'
import { LIMIT_MS, runProgram, startProgram } from './run-program.ts'
import { findFreePort } from '../../support/free-port.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = LIMIT_MS
const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const GOOD = `concurency = 5
bind-to = ["0.0.0.0:3128", "[::]:3128"]
api-bind-to = "unix:/run/api.sock"
api-token = "a-token-that-nobody-shows"
domain-fronting-port = 8443
[network]
proxies = ["", "socks5://user:password@10.0.0.1"]
[performance]
workers = 3
[dc]
2 = "127.0.0.1:8443"
[secrets]
"anna b" = "${SECRET}"
bob = ["ee01${KEY.slice(2)}6578616d706c652e636f6d"]
`
const BAD = `bind-to = "0.0.0.0:99999"
secret = "dd${KEY}"
concurency = 5
network.proxies = ["http://user:password@10.0.0.1"]
`
const BAD_PROBLEMS = [
  'bind-to (line 1): found "0.0.0.0:99999", expected a port from 1 to 65535',
  'secret (line 2): found "dd…" (34 characters), expected a fake-TLS secret, beginning with "ee" in hex or "7" in base64url; others are not supported',
  'concurency (line 3): unknown key, ignored: did you mean concurrency?',
  'network.proxies (line 4): found "http://…@10.0.0.1", expected "socks5://[user:password@]host[:port]", or "" for a direct connection',
]

/** Keys whose feature is not there yet change from version to version. */
function dropPending(text: string): string {
  return text.replace(/^.*no effect in this version\n/gm, '')
}

test('a good file is shown as it holds, without its secrets', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { 'c.toml': GOOD })
  const { code, stdout, stderr } = await runProgram(t, ['config', 'check', 'c.toml'], { cwd })
  assert.equal(code, 0)
  assert.equal(
    dropPending(stderr),
    'mtg-multi: warning: concurency (line 1): unknown key, ignored: did you mean concurrency?\n' +
      'mtg-multi: warning: domain-fronting-port (line 5): deprecated: use domain-fronting.port\n',
  )
  const lines = stdout.split('\n')
  for (const line of [
    '# c.toml is valid',
    '# secret is not set',
    'bind-to = ["0.0.0.0:3128", "[::]:3128"]',
    'api-bind-to = "unix:/run/api.sock"',
    'api-token = "…"',
    'concurrency = 8192',
    'tolerate-time-skewness = "5s"',
    'domain-fronting.port = 8443',
    'domain-fronting.max-connections = 4096',
    'network.dns = "system"',
    'network.proxies = ["", "socks5://…@10.0.0.1:1080?open_threshold=5&half_open_timeout=1m&reset_failures_timeout=10s"]',
    'performance.workers = 3',
    'dc.2 = ["127.0.0.1:8443"]',
    'secrets."anna b" = ["ee…(example.com)"]',
    'secrets.bob = ["ee…(example.com)"]',
  ])
    assert.ok(lines.includes(line), `${line}: ${stdout}`)
  assert.doesNotMatch(stdout, new RegExp(`${KEY.slice(4)}|password|nobody-shows|domain-fronting-port`))
  assert.equal(typeof parse(stdout), 'object')
})

test('what is shown holds again when it is used', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { 'c.toml': `debug = true\nsecret = "${SECRET}"\nbind-to = "0.0.0.0:1"\n` })
  const first = await runProgram(t, ['config', 'check', 'c.toml'], { cwd })
  const shown = first.stdout.replace('"ee…(example.com)"', `"${SECRET}"`)
  const again = makeDirectory(t, { 'c.toml': shown })
  assert.deepEqual(await runProgram(t, ['config', 'check', 'c.toml'], { cwd: again }), first)
})

test('a bad file is refused with every problem', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { 'c.toml': BAD })
  assert.deepEqual(await runProgram(t, ['config', 'check', 'c.toml'], { cwd }), {
    code: 1,
    stdout: '',
    stderr: `mtg-multi: error: c.toml has 4 problems:\n${BAD_PROBLEMS.map((problem) => `  ${problem}\n`).join('')}`,
  })
})

test('as JSON, a good file is its values and its warnings', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { 'c.toml': GOOD })
  const { code, stdout, stderr } = await runProgram(t, ['config', 'check', '--json', 'c.toml'], { cwd })
  assert.deepEqual([code, stderr], [0, ''])
  const result = JSON.parse(stdout) as {
    warnings: { message: string }[]
    config: Record<string, unknown>
  }
  const { warnings, config, ...rest } = result
  assert.deepEqual(rest, { file: 'c.toml', valid: true, problems: [] })
  assert.deepEqual(
    warnings.filter(({ message }) => !message.endsWith('in this version')),
    [
      {
        kind: 'unknown',
        path: 'concurency',
        line: 1,
        found: null,
        expected: 'unknown key, ignored: did you mean concurrency?',
        message: 'concurency (line 1): unknown key, ignored: did you mean concurrency?',
      },
      {
        kind: 'deprecated',
        path: 'domain-fronting-port',
        line: 5,
        found: null,
        expected: 'deprecated: use domain-fronting.port',
        message: 'domain-fronting-port (line 5): deprecated: use domain-fronting.port',
      },
    ],
  )
  assert.deepEqual(config['secrets'], { 'anna b': ['ee…(example.com)'], bob: ['ee…(example.com)'] })
  assert.deepEqual(config['domain-fronting'], {
    host: null,
    port: 8443,
    'proxy-protocol': false,
    'max-connections': 4096,
    'via-proxies': false,
  })
  assert.deepEqual(config['performance'], { workers: 3, 'fast-mode': true, cipher: 'auto' })
  assert.doesNotMatch(stdout, new RegExp(`${KEY.slice(4)}|password|nobody-shows`))
})

test('as JSON, a bad file is the list of its problems', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { 'c.toml': BAD })
  const { code, stdout, stderr } = await runProgram(t, ['config', 'check', 'c.toml', '--json'], { cwd })
  assert.deepEqual([code, stderr], [1, ''])
  const { problems, ...rest } = JSON.parse(stdout) as { problems: { message: string }[] }
  assert.deepEqual(rest, { file: 'c.toml', valid: false, warnings: [], config: null })
  assert.deepEqual(
    problems.map(({ message }) => message),
    BAD_PROBLEMS,
  )
  assert.deepEqual(problems[0], {
    path: 'bind-to',
    line: 1,
    found: '"0.0.0.0:99999"',
    expected: 'expected a port from 1 to 65535',
    message: BAD_PROBLEMS[0],
  })
})

test('a file that is not there is wrong usage, also as JSON', { timeout }, async (t) => {
  const cwd = makeDirectory(t)
  for (const flags of [[], ['--json']])
    assert.deepEqual(await runProgram(t, ['config', 'check', 'none.toml', ...flags], { cwd }), {
      code: 80,
      stdout: '',
      stderr: 'mtg-multi: error: config file none.toml does not exist\n',
    })
})

test('secrets that others on this host can read are worth a warning', async (t) => {
  const cwd = makeDirectory(t, {
    'c.toml': `secret = "${SECRET}"\nbind-to = "0.0.0.0:1"\n`,
    'outside.toml': 'secret = "env:MTG_TEST_SECRET"\nbind-to = "0.0.0.0:1"\n',
  })
  process.env['MTG_TEST_SECRET'] = SECRET
  t.after(() => delete process.env['MTG_TEST_SECRET'])
  const check = async (name: string, mode: string): Promise<readonly string[]> => {
    const path = join(cwd, name)
    chmodSync(path, Number.parseInt(mode, 8))
    return (await readConfigFile(path)).warnings.map(formatConfigWarning)
  }
  for (const mode of ['0644', '0640', '0604'])
    assert.deepEqual(await check('c.toml', mode), [
      `others on this host can read this file and the secrets in it (mode ${mode}): chmod 600 ${join(cwd, 'c.toml')}`,
    ])
  assert.deepEqual(await check('c.toml', '0666'), [
    `others on this host can read and change this file and the secrets in it (mode 0666): chmod 600 ${join(cwd, 'c.toml')}`,
  ])
  assert.deepEqual(await check('outside.toml', '0622'), [
    `others on this host can change this file (mode 0622): chmod 600 ${join(cwd, 'outside.toml')}`,
  ])
  assert.deepEqual(await check('c.toml', '0600'), [])
  assert.deepEqual(await check('outside.toml', '0644'), [])
})

test('the example of the reference starts, and warns of nothing else', { timeout }, async (t) => {
  // Its site is one of the Internet.
  let text = REFERENCE_EXAMPLE.replace('drs = false', 'drs = false\nlearn-front = false')
  for (const taken of ['0.0.0.0:3128', '127.0.0.1:9090', '127.0.0.1:3129'])
    text = text.replace(taken, `127.0.0.1:${await findFreePort()}`)
  const expected = readConfig(text, { fileName: 'c.toml' }).warnings
  const cwd = makeDirectory(t, { 'c.toml': text })
  const program = startProgram(t, ['run', 'c.toml'], { cwd })
  await program.waitFor('"listening"')
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0)
  assert.equal(program.stderr, '')
  const told = program
    .log()
    .filter((line) => line['level'] === 'warn' && line['logger'] === '')
    // Said in the background, if this machine's resolver is quick enough: a matter of the host, not of the file.
    .filter((line) => !String(line['message']).startsWith('SNI-DNS'))
  assert.deepEqual(
    told.map((line) => line['message']),
    expected.map((warning) => warning.message ?? `configuration: ${formatConfigWarning(warning)}`),
  )
  // In the words of the reference, where it has a line for it (operator.md §5).
  for (const message of [
    'config option "domain-fronting-ip" is deprecated and ignored',
    'config option "ip" in [domain-fronting] is deprecated and ignored',
  ])
    assert.ok(
      told.some((line) => line['message'] === message),
      message,
    )
})
