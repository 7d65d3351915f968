import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { buildFirstConfig } from '#primary/commands/first-config'
import { readConfig } from '#primary/config/read'
import { formatSecretBase64 } from '#shared/secret'

import { LIMIT_MS, runProgram, startProgram } from './run-program.ts'
import { findFreePort } from '../../support/free-port.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = LIMIT_MS
const DEFAULT_PORT = 3128

/** The default port is taken, by us or by whoever has it already, so that a first start gets no further. */
async function takeDefaultPort(t: TestContext): Promise<void> {
  const server = createServer()
  const settled = Promise.race([once(server, 'listening'), once(server, 'error')])
  server.listen(DEFAULT_PORT, '0.0.0.0')
  await settled
  t.after(() => server.close())
}

test('the first config is valid, has one user, and never the same key twice', () => {
  const [first, second] = [0, 1].map(() => readConfig(buildFirstConfig(), { fileName: 'config.toml' }))
  assert.ok(first !== undefined && second !== undefined)
  assert.deepEqual(first.warnings, [])
  const { config } = first
  assert.deepEqual(
    config.users.map((user) => [user.name, user.secrets[0]?.host]),
    [['me', 'storage.googleapis.com']],
  )
  assert.deepEqual(config.bindTo, [{ host: '0.0.0.0', port: 3128 }])
  assert.deepEqual(config.apiBindTo, { host: '127.0.0.1', port: 9090 })
  assert.equal(basename(config.stateFile ?? ''), 'state.json', 'totals outlive a restart')
  assert.notDeepEqual(config.users, second.config.users)
})

test('without a config one is made that only its owner can read', { timeout }, async (t) => {
  await takeDefaultPort(t)
  const cwd = makeDirectory(t)
  const { code, stdout, stderr } = await runProgram(t, [], { cwd })
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(
    stderr,
    /^made config\.toml with one user and a fresh secret\nmtg-multi: error: [^\n]*:3128[^\n]*\n$/,
  )
  const path = join(cwd, 'config.toml')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(readConfig(readFileSync(path, 'utf8'), { fileName: path }).config.users.length, 1)
})

test(
  'a config that is there is used as it is; the log stays JSON lines and the link goes to stderr',
  { timeout },
  async (t) => {
    const port = await findFreePort()
    const text = buildFirstConfig()
      .replace('0.0.0.0:3128', `127.0.0.1:${port}`)
      .replace(/^api-bind-to.*$/m, 'performance.workers = 1\ndefense.doppelganger.learn-front = false')
    const cwd = makeDirectory(t, { 'config.toml': text })
    const program = startProgram(t, [], { cwd })
    await program.waitFor('"listening"')
    program.child.kill('SIGTERM')
    assert.equal(await program.exit(), 0)
    assert.ok(program.log().length > 0)
    const [user] = readConfig(text, { fileName: 'config.toml' }).config.users
    const secret = user?.secrets[0]
    assert.ok(secret !== undefined)
    const link = `me: tg://proxy?port=${port}&secret=${formatSecretBase64(secret)}&server=127.0.0.1`
    assert.deepEqual(program.stderr.split('\n'), [
      link,
      '127.0.0.1 is a guess: set public-ipv4 to the address that clients reach',
      '',
    ])
    assert.ok(!program.stdout.includes(formatSecretBase64(secret)))
    assert.equal(readFileSync(join(cwd, 'config.toml'), 'utf8'), text)
  },
)

test('a broken config is never replaced by a fresh one', { timeout }, async (t) => {
  const cwd = makeDirectory(t)
  writeFileSync(join(cwd, 'config.toml'), '')
  const { code, stderr } = await runProgram(t, [], { cwd })
  assert.equal(code, 1)
  assert.match(stderr, /^mtg-multi: error: config\.toml has 2 problems:\n {2}bind-to: required/)
  assert.equal(readFileSync(join(cwd, 'config.toml'), 'utf8'), '')
})

test('a directory in place of the config is wrong usage', { timeout }, async (t) => {
  const cwd = makeDirectory(t)
  mkdirSync(join(cwd, 'config.toml'))
  const { code, stderr } = await runProgram(t, [], { cwd })
  assert.deepEqual([code, stderr], [80, 'mtg-multi: error: config file config.toml is a directory\n'])
})
