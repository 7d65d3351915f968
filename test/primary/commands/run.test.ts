import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'

import { LIMIT_MS, runProgram, startProgram } from './run-program.ts'
import { findFreePort } from '../../support/free-port.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = LIMIT_MS
const KEY = '000102030405060708090a0b0c0d0e0f'
const SECRET = `ee${KEY}6578616d706c652e636f6d`
const buildConfig = (port: number): string =>
  `secret = "${SECRET}"\nbind-to = "127.0.0.1:${port}"\nperformance.workers = 1\ndefense.doppelganger.learn-front = false\n`

test('a config file that is not there, or is a directory, is wrong usage', { timeout }, async (t) => {
  const cwd = makeDirectory(t)
  assert.deepEqual(await runProgram(t, ['run', 'none.toml'], { cwd }), {
    code: 80,
    stdout: '',
    stderr: 'mtg-multi: error: config file none.toml does not exist\n',
  })
  assert.deepEqual(await runProgram(t, ['run', cwd]), {
    code: 80,
    stdout: '',
    stderr: `mtg-multi: error: config file ${cwd} is a directory\n`,
  })
})

test('a bad secret is told without showing it', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { 'config.toml': `bind-to = "127.0.0.1:1"\nsecret = "dd${KEY}"\n` })
  assert.deepEqual(await runProgram(t, ['run', 'config.toml'], { cwd }), {
    code: 1,
    stdout: '',
    stderr:
      'mtg-multi: error: config.toml has 1 problem:\n' +
      '  secret (line 2): found "dd…" (34 characters), expected a fake-TLS secret, beginning with "ee" in hex or "7" in base64url; others are not supported\n',
  })
})

test(
  'several problems come in one go, and nothing is bound before they are mended',
  { timeout },
  async (t) => {
    const cwd = makeDirectory(t, {
      'c.toml': 'concurrency = "8192"\nnetwork.timeout.idle = 5\n[secrets]\nbind-to = "127.0.0.1:1"\n',
    })
    const { code, stdout, stderr } = await runProgram(t, ['run', 'c.toml'], { cwd })
    assert.deepEqual([code, stdout], [1, ''])
    assert.deepEqual(stderr.trimEnd().split('\n'), [
      'mtg-multi: error: c.toml has 4 problems:',
      '  secret: required: a secret here, or users under [secrets]; make one with: mtg-multi generate-secret <hostname>',
      '  concurrency (line 1): found "8192", expected an integer from 0 to 1000000',
      '  network.timeout.idle (line 2): found 5, expected a duration with its unit, such as "5s", "1m30s" or "2h"',
      '  secrets.bind-to (line 4): bind-to is a global key, but stands after [secrets] and so inside of it: move it above the first [section]',
    ])
  },
)

test('a taken port is one line that names the address', { timeout }, async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.after(() => taken.close())
  const { port } = taken.address() as AddressInfo // listening on TCP
  const cwd = makeDirectory(t, { 'config.toml': buildConfig(port) })
  const { code, stdout, stderr } = await runProgram(t, ['run', 'config.toml'], { cwd })
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, new RegExp(`^mtg-multi: error: [^\\n]*127\\.0\\.0\\.1:${port}[^\\n]*\\n$`))
})

test(
  'the log is JSON lines, warns of what the file has in vain, and never shows a key',
  { timeout },
  async (t) => {
    const port = await findFreePort()
    const cwd = makeDirectory(t, {
      'config.toml': `debug = true\nconcurency = 5\ndefense.anti-replay.error-rate = 0.5\n${buildConfig(port)}`,
    })
    const program = startProgram(t, ['run', join(cwd, 'config.toml')])
    await program.waitFor('"listening"')
    program.child.kill('SIGINT')
    assert.equal(await program.exit(), 0)
    const warnings = program
      .log()
      .filter((line) => line['level'] === 'warn' && String(line['message']).startsWith('configuration:'))
    assert.deepEqual(
      warnings.map((line) => [line['path'], line['message']]),
      [
        ['concurency', 'configuration: concurency (line 2): unknown key, ignored: did you mean concurrency?'],
        [
          'defense.anti-replay.error-rate',
          'configuration: defense.anti-replay.error-rate (line 3): accepted, but has no effect: the replay set is exact',
        ],
      ],
    )
    assert.equal(program.stderr, '')
    assert.doesNotMatch(
      program.stdout,
      new RegExp(`${KEY}|${Buffer.from(KEY, 'hex').toString('base64url').slice(0, 20)}`),
    )
  },
)

test('SIGTERM stops an idle proxy with exit code 0', { timeout }, async (t) => {
  const port = await findFreePort()
  const cwd = makeDirectory(t, { 'config.toml': buildConfig(port) })
  const program = startProgram(t, ['run', 'config.toml'], { cwd })
  await program.waitFor('"listening"')
  const client = connect(port, '127.0.0.1')
  await once(client, 'connect')
  client.destroy()
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0)
  assert.equal(program.stderr, '')
})

test('the first signal lets connections go on, the second ends them at once', { timeout }, async (t) => {
  const port = await findFreePort()
  const cwd = makeDirectory(t, {
    'config.toml': `debug = true\nshutdown-timeout = "1h"\nnetwork.timeout.handshake = "1h"\n${buildConfig(port)}`,
  })
  const program = startProgram(t, ['run', 'config.toml'], { cwd })
  await program.waitFor('"listening"')
  const client = connect(port, '127.0.0.1')
  // Whether the end arrives as FIN or as RST is the operating system's choice.
  client.on('error', () => {})
  const closed = new Promise((resolve) => client.on('close', resolve))
  await once(client, 'connect')
  // The beginning of a hello: a connection in the middle of its handshake.
  client.write(Buffer.from('1603010200', 'hex'))
  await program.waitFor('"Stream has been started"')

  program.child.kill('SIGTERM')
  await program.waitFor('"draining"')
  assert.equal(client.closed, false)

  // At once it is the echo of the first one (a terminal and npm both send it); a moment later it is meant.
  const again = setInterval(() => program.child.kill('SIGTERM'), 100)
  t.after(() => clearInterval(again))
  assert.equal(await program.exit(), 0)
  await closed
  // It was alive to hear the second signal, and did not wait for the connection.
  const messages = program.log().map((line) => line['message'])
  assert.ok(messages.includes('second signal, ending at once'), program.stdout)
  assert.ok(!messages.includes('proxy has been stopped'), program.stdout)
})
