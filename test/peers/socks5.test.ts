/** The proxy behind SOCKS5 servers that are not ours: Debian's dante-server and microsocks. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Socks5Proxy } from '#shared/config'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import { socks5 } from '../support/routes.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { makeSecret, startWorld, type World } from '../end-to-end/world.ts'
import { runPeer, startPeer } from './support/peer.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000
const MEGABYTE = 1 << 20

interface Server {
  readonly name: string
  readonly start: (t: TestContext, account: { username: string; password: string } | null) => Promise<number>
}

const microsocks: Server = {
  name: 'microsocks',
  start: async (t, account) => {
    const port = await findFreePort()
    const credentials = account === null ? [] : ['-u', account.username, '-P', account.password]
    const peer = startPeer(t, 'microsocks', ['-i', '127.0.0.1', '-p', String(port), ...credentials])
    await peer.waitForPort(port)
    return port
  },
}

/**
 * Dante checks names and passwords against the system's accounts: it gets a mount namespace of its own, in which there is
 * one more. Nothing outside of it changes.
 */
const dante: Server = {
  name: 'dante',
  start: async (t, account) => {
    const folder = makeDirectory(t)
    const port = await findFreePort()
    const file = join(folder, 'sockd.conf')
    // Who we are in that namespace.
    const user = account === null ? userInfo().username : 'root'
    writeFileSync(
      file,
      `logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: lo
user.privileged: ${user}
user.unprivileged: ${user}
clientmethod: none
socksmethod: ${account === null ? 'none' : 'username'}
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks block { from: 127.0.0.0/8 to: 127.0.0.9/32 command: connect }
socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect }
`,
    )
    const args = ['-f', file, '-p', join(folder, 'pid'), '-N', '1']
    const peer =
      account === null
        ? startPeer(t, 'danted', args)
        : startPeer(t, 'unshare', ['--map-root-user', '--mount', ...withAccount(folder, account), ...args])
    await peer.waitForPort(port)
    return port
  },
}

/** A command line that runs dante where the system has this account too. */
function withAccount(
  folder: string,
  { username, password }: { username: string; password: string },
): string[] {
  const hash = runPeer('openssl', ['passwd', '-6', '-stdin'], password).trim()
  const files = {
    passwd: `${readFileSync('/etc/passwd', 'utf8')}${username}:x:65533:65533::/:/usr/sbin/nologin\n`,
    // Of the others nobody has a password here.
    shadow: `${username}:${hash}:19000:0:99999:7:::\n`,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o644 })
  const mounts = Object.keys(files).map((name) => `mount --bind "${join(folder, name)}" /etc/${name}`)
  return ['sh', '-c', `${mounts.join(' && ')} && exec danted "$@"`, 'sh']
}

async function startBehind(t: TestContext, proxy: Socks5Proxy, host = '127.0.0.1'): Promise<World> {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  return startWorld(t, { dcs: { 2: [{ host, port: dc.port }] }, config: { network: { proxies: [proxy] } } })
}

async function exchange({ proxy }: World): Promise<void> {
  const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: 2 })
  const sent = Buffer.alloc(MEGABYTE, 'not the same every few bytes. ')
  client.write(sent)
  assert.ok((await client.read(sent.length)).equals(sent))
  client.destroy()
}

async function fails({ proxy }: World): Promise<string> {
  const client = await connectFakeTls({ port: proxy.port, secret: makeSecret(1), dc: 2 })
  await client.ended.catch(() => {})
  client.destroy()
  const line = proxy.logLines().findLast(({ message }) => message === 'cannot dial to telegram')
  return String(line?.['error'])
}

for (const server of [microsocks, dante]) {
  test(`${server.name} without credentials carries sessions`, { timeout }, async (t) => {
    const world = await startBehind(t, socks5(await server.start(t, null)))
    await exchange(world)
    await exchange(world)
  })

  test(`${server.name} tells of a data centre that is down`, { timeout }, async (t) => {
    const port = await server.start(t, null)
    const world = await startWorld(t, {
      dcs: { 2: [{ host: '127.0.0.1', port: await findFreePort() }] },
      config: { network: { proxies: [socks5(port)] } },
    })
    assert.match(await fails(world), /connection refused/)
  })

  test(`${server.name} with credentials carries sessions of those who know them`, { timeout }, async (t) => {
    const account = { username: 'anna-of-mtg', password: 'hunter2' }
    const port = await server.start(t, account)
    await exchange(await startBehind(t, socks5(port, account)))
    const wrong = await startBehind(t, socks5(port, { ...account, password: 'hunter3' }))
    assert.match(await fails(wrong), /authentication refused/)
    const nobody = await startBehind(t, socks5(port, { ...account, username: 'no-anna-of-mtg' }))
    assert.match(await fails(nobody), /authentication refused/)
    const none = await startBehind(t, socks5(port))
    assert.match(await fails(none), /wants a user name and a password/)
    for (const { proxy } of [wrong, nobody, none]) assert.doesNotMatch(proxy.logText(), /hunter|anna/)
  })

  test(`credentials that ${server.name} does not ask for do no harm`, { timeout }, async (t) => {
    const port = await server.start(t, null)
    await exchange(await startBehind(t, socks5(port, { username: 'anna', password: 'hunter2' })))
  })
}

test('a target that dante’s rules forbid is told from one that is down', { timeout }, async (t) => {
  const port = await dante.start(t, null)
  assert.match(await fails(await startBehind(t, socks5(port), '127.0.0.9')), /not allowed by its rules/)
})
