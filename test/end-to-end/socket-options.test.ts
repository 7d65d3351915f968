import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startProgram } from '../primary/commands/run-program.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { makeSecret } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000

/** As on a machine where the optional package was not installed. */
const WITHOUT_KOFFI = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  const missing = () => Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  registerHooks({
    resolve(name, context, next) {
      if (name === 'koffi') throw missing()
      return next(name, context)
    },
  })`)}`

test('without koffi the proxy says once what it does not set, and works', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const port = await findFreePort()
  const secret = makeSecret(1)
  const cwd = makeDirectory(t, {
    'config.toml':
      `secret = "${secret}"\nbind-to = "127.0.0.1:${port}"\n` +
      `dc.2 = ["127.0.0.1:${dc.port}"]\nperformance.workers = 3\n`,
  })
  const nodeArgs = ['--import', WITHOUT_KOFFI]
  const program = startProgram(t, ['run', 'config.toml'], { cwd, nodeArgs })
  await program.waitFor('"listening"')
  const lines = program.log().filter(({ message }) => message === 'socket options that cannot be set here')
  assert.equal(lines.length, 1)
  assert.deepEqual(lines[0]?.['options'], ['TCP_NOTSENT_LOWAT', 'TCP_USER_TIMEOUT', 'TCP_CONGESTION'])
  assert.equal(lines[0]?.['reason'], 'the optional package koffi is not installed')
  const ciphers = program.log().filter(({ message }) => message === 'ciphers')
  assert.deepEqual(
    ciphers.map(({ level, cipher, reason }) => [level, cipher, reason]),
    [['info', 'node', 'the optional package koffi is not installed']],
  )
  const client = await connectFakeTls({ port, secret, dc: 2 })
  t.after(() => client.socket.destroy())
  client.write(Buffer.from('still here'))
  assert.equal(String(await client.read(10)), 'still here')
})
