import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { readConfig, type ReadConfig } from '#primary/config/read'
import { formatConfigWarning } from '#primary/config/warning'
import { ConfigError, formatConfigProblem } from '#shared/errors'
import { formatSecretHex } from '#shared/secret'
import { makeDirectory } from '../../support/make-directory.ts'

const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const TOKEN = 'a-token-that-nobody-shows'

function makeFolder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = makeDirectory(t)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

function setVariable(t: TestContext, name: string, value: string): void {
  process.env[name] = value
  t.after(() => delete process.env[name])
}

function read(text: string): ReadConfig {
  return readConfig(`bind-to = "0.0.0.0:1"\n${text}`, { fileName: 'config.toml' })
}

function problemsOf(text: string): string[] {
  try {
    read(text)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatConfigProblem)
    throw error
  }
  return assert.fail('was accepted')
}

test('secrets and the token may stand in the environment or in files', (t) => {
  const folder = makeFolder(t, { secret: `${SECRET.replace('ee00', 'ee01')}\n`, token: ` ${TOKEN}\r\n` })
  setVariable(t, 'MTG_TEST_SECRET', SECRET)
  const text = `api-token = "file:${folder}/token"
[secrets]
anna = "env:MTG_TEST_SECRET"
bob = { secret = ["file:${folder}/secret"] }
`
  const { config, warnings, holdsSecret } = read(text)
  assert.deepEqual(
    config.users.map((user) => [user.name, ...user.secrets.map(formatSecretHex)]),
    [
      ['anna', SECRET],
      ['bob', SECRET.replace('ee00', 'ee01')],
    ],
  )
  assert.equal(config.apiToken, TOKEN)
  assert.equal(holdsSecret, false)
  assert.doesNotMatch(JSON.stringify(warnings), new RegExp(`${TOKEN}|${KEY}`))
})

test('what is missing outside is a problem with its name', (t) => {
  const folder = makeFolder(t, { empty: ' \n', big: 'x'.repeat(5000) })
  mkdirSync(join(folder, 'directory'))
  setVariable(t, 'MTG_TEST_EMPTY', ' ')
  const text = `api-token = "env:MTG_TEST_NO_SUCH_TOKEN"
[secrets]
a = "env:MTG_TEST_NO_SUCH"
b = "env:MTG_TEST_EMPTY"
c = "env:"
d = "file:${folder}/none"
e = "file:${folder}/empty"
f = "file:${folder}/directory"
g = "file:${folder}/big"
h = "file:"
`
  assert.deepEqual(problemsOf(text), [
    'api-token (line 2): found "env:MTG_TEST_NO_SUCH_TOKEN", expected this environment variable to be set',
    'secrets.a (line 4): found "env:MTG_TEST_NO_SUCH", expected this environment variable to be set',
    'secrets.b (line 5): found "env:MTG_TEST_EMPTY", expected this environment variable not to be empty',
    'secrets.c (line 6): found "env:", expected the name of a variable after "env:"',
    `secrets.d (line 7): found "file:${folder}/none", expected a file that can be read (there is none)`,
    `secrets.e (line 8): found "file:${folder}/empty", expected this file not to be empty`,
    `secrets.f (line 9): found "file:${folder}/directory", expected a regular file`,
    `secrets.g (line 10): found "file:${folder}/big", expected a file of at most 4096 bytes`,
    'secrets.h (line 11): found "file:", expected the path of a file after "file:"',
  ])
})

test('what is wrong outside is told by where it is, and never shown', (t) => {
  const folder = makeFolder(t, { token: `${TOKEN} with spaces` })
  setVariable(t, 'MTG_TEST_SECRET', `dd${KEY}`)
  const problems = problemsOf(`secret = "env:MTG_TEST_SECRET"\napi-token = "file:${folder}/token"`)
  assert.deepEqual(problems, [
    'secret (line 2): found the contents of "env:MTG_TEST_SECRET", expected a fake-TLS secret, beginning with "ee" in hex or "7" in base64url; others are not supported',
    `api-token (line 3): found the contents of "file:${folder}/token", expected a token of 1 to 1024 visible ASCII characters, without spaces`,
  ])
})

test('a secret written behind "env:" or "file:" by mistake is not shown', () => {
  for (const mistake of [SECRET, SECRET.toUpperCase(), '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'])
    for (const scheme of ['env:', 'file:']) {
      const told = problemsOf(`secret = "${scheme}${mistake}"`).join()
      assert.ok(!told.includes(mistake.slice(10, 30)), told)
    }
})

test('a token that can be guessed is taken with a warning that does not show it', () => {
  const { config, warnings } = read(`api-token = "short"\nsecret = "${SECRET}"`)
  assert.equal(config.apiToken, 'short')
  assert.deepEqual(warnings.filter(({ kind }) => kind === 'changed').map(formatConfigWarning), [
    'api-token (line 2): found "sh…" (5 characters), can be guessed: expected 16 characters or more',
  ])
  assert.deepEqual(problemsOf(`api-token = 5\nsecret = "${SECRET}"`), [
    'api-token (line 2): found 5, expected a token in quotes',
  ])
})

test('a file with a secret, a token or a password of its own is known as such', (t) => {
  setVariable(t, 'MTG_TEST_SECRET', SECRET)
  const outside = 'secret = "env:MTG_TEST_SECRET"'
  const rows: readonly (readonly [string, boolean])[] = [
    [outside, false],
    [`secret = "${SECRET}"`, true],
    [`[secrets]\nanna = { secret = ["${SECRET}"] }`, true],
    [`${outside}\napi-token = "${TOKEN}"`, true],
    [`${outside}\nnetwork.proxies = ["socks5://u:p@10.0.0.1"]`, true],
    [`${outside}\nnetwork.proxies = ["socks5://10.0.0.1"]`, false],
  ]
  for (const [text, holdsSecret] of rows) assert.equal(read(text).holdsSecret, holdsSecret, text)
})
