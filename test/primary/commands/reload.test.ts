import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { connectFakeTls, type FakeTlsClient } from '../../support/faketls-client.ts'
import { startStreamDc, type StreamDc } from '../../support/stream-dc.ts'
import { startProgram, type Program } from './run-program.ts'
import { findFreePort } from '../../support/free-port.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = 60_000
const HOST = 'example.com'
const makeSecret = (n: number): string =>
  `ee${Buffer.alloc(16, n).toString('hex')}${Buffer.from(HOST).toString('hex')}`
const ANNA = makeSecret(1)
const BORIS = makeSecret(2)
const CARLA = makeSecret(3)

interface World {
  program: Program
  port: number
  connect: (secret: string) => Promise<FakeTlsClient>
  /** Write the file and have it taken up; resolves when the log has the text once more. */
  reload: (file: string, expected: string) => Promise<void>
}

async function startWorld(t: TestContext, dc: StreamDc, file: string): Promise<World> {
  const port = await findFreePort()
  const complete = (text: string): string =>
    `bind-to = "127.0.0.1:${port}"\ndc.2 = ["127.0.0.1:${dc.port}"]\ndefense.doppelganger.learn-front = false\n${text}`
  const cwd = makeDirectory(t, { 'config.toml': complete(file) })
  const program = startProgram(t, ['run', 'config.toml'], { cwd })
  await program.waitFor('"listening"')
  let seen = 0
  return {
    program,
    port,
    connect: (secret) => connectFakeTls({ port, secret, dc: 2 }),
    reload: async (text, expected) => {
      seen = program.stdout.length
      writeFileSync(join(cwd, 'config.toml'), complete(text))
      program.child.kill('SIGHUP')
      while (!program.stdout.slice(seen).includes(expected)) {
        await new Promise((resolve) => program.child.stdout?.once('data', resolve))
      }
    },
  }
}

async function echoes(client: FakeTlsClient): Promise<void> {
  client.write(Buffer.from('still here'))
  assert.equal(String(await client.read(10)), 'still here')
}

test('users come and go with a reload while the others keep their connections', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const both = `[secrets]\nanna = "${ANNA}"\nboris = "${BORIS}"\n`
  const { connect, reload, program } = await startWorld(t, dc, both)
  const anna = await connect(ANNA)
  const boris = await connect(BORIS)
  await echoes(anna)
  await echoes(boris)

  const borisEnded = boris.ended
  await reload(`[secrets]\nanna = "${ANNA}"\ncarla = "${CARLA}"\n`, 'configuration has been reloaded')
  await borisEnded
  await echoes(anna)
  const carla = await connect(CARLA)
  await echoes(carla)
  await assert.rejects(connect(BORIS), 'a removed user is a stranger')

  // Back again: the same name begins anew.
  await reload(both, 'configuration has been reloaded')
  const again = await connect(BORIS)
  await echoes(again)
  await echoes(anna)
  for (const client of [anna, again]) client.destroy()
  assert.equal(program.child.exitCode, null)
})

test('a file that is not valid changes nothing and is reported whole', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const { connect, reload, program } = await startWorld(t, dc, `[secrets]\nanna = "${ANNA}"\n`)
  const anna = await connect(ANNA)
  await echoes(anna)
  await reload(
    `concurrency = -1\nprefer-ip = "none"\n[secrets]\nboris = "${BORIS}"\n`,
    'configuration is not reloaded, the running one stays',
  )
  const messages = program.log().map((line) => String(line['message']))
  assert.ok(
    messages.some((message) => message.includes('concurrency')),
    program.stdout,
  )
  assert.ok(
    messages.some((message) => message.includes('prefer-ip')),
    program.stdout,
  )
  await echoes(anna)
  await echoes(await connect(ANNA))
  assert.ok(!program.stdout.includes(BORIS.slice(2, 34)))
})

test('what is live is taken up, what needs a restart is named and stays', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const users = `[secrets]\nanna = "${ANNA}"\n`
  const { connect, reload, program } = await startWorld(t, dc, `debug = false\n${users}`)
  await reload(
    `debug = true\nconcurrency = 1\nperformance.workers = 7\n${users}`,
    'these keys have changed and need a restart',
  )
  const lines = program.log()
  const named = lines.find((line) => line['message'] === 'these keys have changed and need a restart')
  assert.deepEqual(named?.['restart'], ['performance.workers'])
  // The log level is that of the new file.
  const anna = await connect(ANNA)
  await program.waitFor('Stream has been started')
  await echoes(anna)
  // And so is the limit on connections.
  await assert.rejects(connect(ANNA))
  anna.destroy()
})

test('what is odd in a file is said at a reload as it is at the start', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const users = `[secrets]\nanna = "${ANNA}"\n`
  const { reload, program } = await startWorld(t, dc, users)
  await reload(`concurency = 7\n${users}`, 'configuration has been reloaded')
  const messages = program.log().map((line) => String(line['message']))
  assert.ok(
    messages.some((message) => message.includes('did you mean concurrency?')),
    program.stdout,
  )
})
