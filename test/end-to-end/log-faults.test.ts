import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeDirectory } from '../primary/commands/run-program.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { makeSecret, waitUntil } from './world.ts'

const timeout = 60_000
const MAIN = fileURLToPath(new URL('../../packages/primary/main.ts', import.meta.url))

async function assertServes(
  t: TestContext,
  stdout: 'pipe' | number,
  whenUp: (child: ChildProcess) => void,
): Promise<void> {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const port = await findFreePort()
  const lines = [
    'debug = true',
    `secret = "${makeSecret(1)}"`,
    `bind-to = "127.0.0.1:${port}"`,
    '[dc]',
    `2 = ["127.0.0.1:${dc.port}"]`,
    '[performance]',
    'workers = 1',
  ]
  const cwd = makeDirectory(t, { 'config.toml': `${lines.join('\n')}\n` })
  const child = spawn(process.execPath, [MAIN, 'run', join(cwd, 'config.toml')], {
    stdio: ['ignore', stdout, 'ignore'],
  })
  t.after(() => child.kill('SIGKILL'))
  const connect = () => connectFakeTls({ port, secret: makeSecret(1), dc: 2 }).catch(() => null)
  let isUp = false
  await waitUntil(async () => {
    const client = await connect()
    client?.destroy()
    isUp = client !== null
    return isUp
  }, 'a first client')
  whenUp(child)
  for (let n = 0; n < 5; n++) {
    const client = await connect()
    assert.ok(client !== null, `client ${n}`)
    client.write(Buffer.from('who writes, stays'))
    assert.equal(String(await client.read(17)), 'who writes, stays')
    client.destroy()
  }
  assert.equal(child.exitCode, null)
  child.kill('SIGTERM')
  const [code] = (await once(child, 'exit')) as [number | null] // of a child process
  assert.equal(code, 0)
}

test('a log that nobody reads any more ends nobody’s connection', { timeout }, async (t) => {
  await assertServes(t, 'pipe', (child) => child.stdout?.destroy())
})

test('nor does one on a full disk', { timeout }, async (t) => {
  const full = openSync('/dev/full', 'w') // Linux: whatever is written to it finds the disk full
  t.after(() => closeSync(full))
  await assertServes(t, full, () => {})
})
