import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { isSupportedNode } from '#primary/node-version'
import { parseSecret } from '#shared/secret'

import { LIMIT_MS, runProgram } from './run-program.ts'

const timeout = LIMIT_MS
const PACKAGE = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
  engines: { node: string }
}

test('--version prints the version of the package', { timeout }, async (t) => {
  for (const flag of ['-v', '--version']) {
    const { code, stdout, stderr } = await runProgram(t, [flag])
    assert.deepEqual([code, stderr], [0, ''])
    assert.ok(stdout.startsWith(`${PACKAGE.version} (node ${process.versions.node} `), stdout)
  }
})

test('--help names every command, and where the links go', { timeout }, async (t) => {
  const { code, stdout, stderr } = await runProgram(t, ['--help'])
  assert.deepEqual([code, stderr], [0, ''])
  for (const text of [
    'start',
    'run <config-path>',
    'simple-run <bind-to> <secret>',
    'generate-secret <hostname>',
    'access <config-path>',
    'doctor <config-path>',
    'config check',
    'completion',
    './config.toml',
    'on stderr',
  ])
    assert.ok(stdout.includes(text), text)
})

test('a wrong command line is one line on stderr and exit code 80', { timeout }, async (t) => {
  const wrong: readonly (readonly [readonly string[], string])[] = [
    [['runn', 'x'], 'unknown command "runn": did you mean "run"?'],
    [['version'], 'unknown command "version": see mtg-multi --help'],
    [['run'], 'an argument is missing: see mtg-multi run --help'],
    [
      ['run', '--nope', 'a'],
      'an argument is missing, or --nope is no flag and took it: see mtg-multi run --help',
    ],
    [['run', 'a', 'b'], 'unexpected argument: b'],
    [['--bogus'], 'unexpected argument: bogus'],
    [['config'], 'an argument is missing: see mtg-multi config --help'],
    [['access', 'none.toml', '-p'], '-p: expected a value behind it'],
    [['simple-run', '127.0.0.1:1', 'ee', '--socks5-proxy'], '--socks5-proxy: expected a value behind it'],
    [['config', 'chekc', 'x.toml'], 'action: found "chekc", expected "check"'],
    [['completion', 'zsh'], 'unexpected argument: zsh'],
    [['access', 'none.toml'], 'config file none.toml does not exist'],
    [['doctor', 'none.toml'], 'config file none.toml does not exist'],
    [['generate-secret', 'example.com', '--base64'], 'unexpected argument: base64'],
  ]
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await runProgram(t, args)
    assert.deepEqual(
      { code, stdout, stderr },
      { code: 80, stdout: '', stderr: `mtg-multi: error: ${message}\n` },
    )
  }
})

test('every command has a page of help', { timeout }, async (t) => {
  const pages: readonly (readonly [string, readonly string[]])[] = [
    ['access', ['--ipv4', '-I, --ipv6', '-p, --port', '-x, --hex', '--user', '--qr']],
    ['doctor', ['--json', '--skip-native-check']],
    ['config', ['--json']],
    ['simple-run', ['-t, --timeout', '-s, --socks5-proxy', '--domain-fronting-host']],
  ]
  for (const [command, flags] of pages) {
    const { code, stdout, stderr } = await runProgram(t, [command, '--help'])
    assert.deepEqual([code, stderr], [0, ''])
    for (const flag of flags) assert.ok(stdout.includes(flag), `${command} ${flag}: ${stdout}`)
  }
})

test('completion prints a script, and the script is told the commands', { timeout }, async (t) => {
  const script = await runProgram(t, ['completion'])
  assert.deepEqual([script.code, script.stderr], [0, ''])
  assert.match(script.stdout, /mtg-multi --get-yargs-completions "\$\{args\[@\]\}"/)
  const words = await runProgram(t, ['--get-yargs-completions', 'mtg-multi', ''])
  assert.deepEqual([words.code, words.stderr], [0, ''])
  assert.deepEqual(
    words.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(':')[0]),
    ['start', 'run', 'simple-run', 'generate-secret', 'access', 'doctor', 'config', 'completion'],
  )
})

test('generate-secret prints one line that a config accepts', { timeout }, async (t) => {
  const forms: readonly (readonly [readonly string[], RegExp])[] = [
    [['example.com'], /^7[g-v][A-Za-z0-9_-]+\n$/],
    [['-x', 'example.com'], /^ee[0-9a-f]+\n$/],
    [['example.com', '--hex'], /^ee[0-9a-f]+\n$/],
  ]
  for (const [args, shape] of forms) {
    const { code, stdout, stderr } = await runProgram(t, ['generate-secret', ...args])
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, shape)
    const parsed = parseSecret(stdout.trim())
    assert.ok(parsed.ok && parsed.secret.host === 'example.com')
  }
})

test('generate-secret refuses a host that no client can send', { timeout }, async (t) => {
  const { code, stdout, stderr } = await runProgram(t, ['generate-secret', 'https://example.com/'])
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /^mtg-multi: error: "https:\/\/example\.com\/" is not a valid host name: .*\n$/)
})

test('an old Node is told in one line what to do', { timeout }, async (t) => {
  const pretend = `Object.defineProperty(process.versions,'node',{value:'22.20.0'})`
  const { code, stdout, stderr } = await runProgram(t, ['--version'], {
    nodeArgs: ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`],
  })
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(
    stderr,
    /^mtg-multi: error: Node 22\.20\.0 is not supported: install 24\.20 or later of Node 24, or 26\.6 and later .*\n$/,
  )
})

test('the versions of Node that are accepted are those of the package', () => {
  assert.equal(PACKAGE.engines.node, '^24.20.0 || >=26.6.0')
  for (const version of ['24.20.0', '24.21.3', '26.6.0', '26.10.0', '27.0.0', '30.1.2'])
    assert.ok(isSupportedNode(version), version)
  for (const version of ['18.0.0', '22.20.0', '24.19.9', '25.9.0', '26.5.9', ''])
    assert.ok(!isSupportedNode(version), version)
})
