import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connectFakeTls, type FakeTlsClient } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { makeSecret, waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000
const MAIN = fileURLToPath(new URL('../../packages/primary/main.ts', import.meta.url))

interface Served {
  readonly child: ChildProcess
  /** So many clients, one after the other, each with a few lines at debug. */
  readonly serve: (clients: number) => Promise<void>
  /** End in order. */
  readonly stop: () => Promise<void>
}

async function start(t: TestContext): Promise<Served> {
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
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.after(() => child.kill('SIGKILL'))
  const connect = (): Promise<FakeTlsClient> => connectFakeTls({ port, secret: makeSecret(1), dc: 2 })
  await waitUntil(async () => {
    const client = await connect().catch(() => null)
    client?.destroy()
    return client !== null
  }, 'a first client')
  return {
    child,
    serve: async (clients) => {
      for (let n = 0; n < clients; n++) {
        const client = await connect()
        client.write(Buffer.from('who writes, stays'))
        assert.equal(String(await client.read(17)), 'who writes, stays')
        client.destroy()
      }
    },
    stop: async () => {
      assert.equal(child.exitCode, null)
      child.kill('SIGTERM')
      const [code] = (await once(child, 'exit')) as [number | null] // of a child process
      assert.equal(code, 0)
    },
  }
}

test('a reader of the log who stops, goes on, and leaves at last delays nobody', { timeout }, async (t) => {
  const { child, serve, stop } = await start(t)
  await serve(100) // nobody has read anything: more than a pipe holds
  assert.ok(child.stdout)
  const lines: Record<string, unknown>[] = []
  const reader = createInterface(child.stdout)
  reader.on('line', (line) => lines.push(JSON.parse(line) as Record<string, unknown>))
  const finished = (): number => lines.filter(({ message }) => message === 'Stream has been finished').length
  await waitUntil(() => finished() >= 100, 'all that was kept')
  reader.close()
  child.stdout.destroy()
  await serve(5)
  await stop()
})
