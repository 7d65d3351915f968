import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { makeSecret } from '../end-to-end/world.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { startPeer } from './support/peer.ts'
import { makeDirectory } from '../support/make-directory.ts'

const MAIN = fileURLToPath(new URL('../../packages/primary/main.ts', import.meta.url))

/** The client connects while nothing runs, which starts the program: it is in the queue of the inherited socket. */
test('systemd starts the program for its first client, who is served', { timeout: 60_000 }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const port = await findFreePort()
  const secret = makeSecret(1)
  const cwd = makeDirectory(t, {
    'c.toml':
      `secret = "${secret}"\nbind-to = "127.0.0.1:${port}"\nperformance.workers = 2\nreuse-port = true\n` +
      `[dc]\n2 = "127.0.0.1:${dc.port}"\n`,
  })
  const listen = ['-l', `127.0.0.1:${port}`, '--fdname=clients']
  const systemd = startPeer(
    t,
    'systemd-socket-activate',
    [...listen, process.execPath, MAIN, 'run', 'c.toml'],
    { cwd },
  )
  await systemd.waitUntil(() => systemd.output.includes('Listening on'), 'listening')
  // The hello waits for the program's start.
  const clients = await Promise.all(
    Array.from({ length: 5 }, () =>
      connectFakeTls({ port, secret, dc: 2, unixTime: Math.floor(Date.now() / 1000) + 3 }),
    ),
  )
  for (const client of clients) {
    client.write(Buffer.from('are you there?'))
    assert.equal((await client.read(14)).toString(), 'are you there?')
    client.destroy()
  }
  assert.match(systemd.output, /"listening"/)
  assert.match(systemd.output, /reuse-port has no effect on sockets of the service manager/)
})
