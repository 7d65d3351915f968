import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeSecret } from '../end-to-end/world.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { startPeer, type Peer } from './support/peer.ts'
import { adaptRecipe } from './support/recipe.ts'
import { makeDirectory } from '../support/make-directory.ts'

const MAIN = fileURLToPath(new URL('../../packages/primary/main.ts', import.meta.url))

async function startServer(
  t: TestContext,
  account: readonly string[],
): Promise<{ peer: Peer; port: number }> {
  const port = await findFreePort()
  const peer = startPeer(t, 'microsocks', ['-i', '127.0.0.1', '-p', String(port), ...account])
  await peer.waitForPort(port)
  return { peer, port }
}

test(
  'by the recipe of the SOCKS5 chain clients leave by both servers in turn',
  { timeout: 60_000 },
  async (t) => {
    const dc = await startStreamDc({ mode: 'echo' })
    t.after(() => dc.close())
    const open = await startServer(t, [])
    const closed = await startServer(t, ['-u', 'user', '-P', 'password'])
    const port = await findFreePort()
    const config = adaptRecipe('socks5-chain/config.toml', [
      ['"0.0.0.0:443", "[::]:443"', `"127.0.0.1:${port}", "[::1]:${port}"`],
      ['127.0.0.1:1080', `127.0.0.1:${open.port}`],
      ['198.51.100.7:1080', `127.0.0.1:${closed.port}`],
    ])
    const cwd = makeDirectory(t, { 'c.toml': `${config}\n[dc]\n2 = "127.0.0.1:${dc.port}"\n` })
    const secret = makeSecret(1)
    const mtg = startPeer(t, process.execPath, [MAIN, 'run', 'c.toml'], { cwd, env: { MTG_SECRET: secret } })
    await mtg.waitForPort(port)
    for (const host of ['127.0.0.1', '::1', '127.0.0.1', '::1']) {
      const client = await connectFakeTls({ port, host, secret, dc: 2 })
      client.write(Buffer.from('are you there?'))
      assert.equal((await client.read(14)).toString(), 'are you there?')
      client.destroy()
    }
    for (const { peer } of [open, closed])
      await peer.waitUntil(
        () => peer.output.includes(`connected to 127.0.0.1:${dc.port}`),
        'passing on a client',
      )
  },
)
