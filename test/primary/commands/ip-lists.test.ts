import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { RawPeer } from '../../end-to-end/raw-peer.ts'
import { waitUntil } from '../../end-to-end/world.ts'
import { findFreePort } from '../../support/free-port.ts'
import { startListServer } from '../../support/list-server.ts'
import { startRecordingSite } from '../../support/front-site.ts'
import { startProgram } from './run-program.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const timeout = 60_000
const SECRET = `ee${Buffer.alloc(16, 1).toString('hex')}${Buffer.from('127.0.0.1.test').toString('hex')}`

const writeConfig = (cwd: string, port: number, rest: string): void =>
  writeFileSync(
    join(cwd, 'config.toml'),
    `secret = "${SECRET}"\nbind-to = "127.0.0.1:${port}"\nstate-file = "state.json"\n${rest}`,
    { mode: 0o600 },
  )

test('SIGHUP turns a list on, and reads its files again', { timeout }, async (t) => {
  const site = await startRecordingSite({ reply: Buffer.from('the site') })
  t.after(() => site.close())
  const port = await findFreePort()
  const front = `[domain-fronting]\nhost = "127.0.0.1"\nport = ${site.port}\n`
  const cwd = makeDirectory(t, { list: '127.0.0.1\n' })
  writeConfig(cwd, port, front)
  const program = startProgram(t, ['run', 'config.toml'], { cwd })
  await program.waitFor('"listening"')

  /** What a stranger gets: the site, or nothing. */
  const visit = async (): Promise<string> => {
    const peer = await RawPeer.connect(port)
    peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await Promise.race([peer.waitReceived(8).catch(() => {}), peer.waitOver()])
    peer.socket.destroy()
    return peer.received.toString()
  }
  assert.equal(await visit(), 'the site')
  writeConfig(cwd, port, `${front}[defense.blocklist]\nenabled = true\nurls = ["list"]\n`)
  program.child.kill('SIGHUP')
  await program.waitFor('"networks":1')
  assert.equal(await visit(), '')
  writeFileSync(join(cwd, 'list'), '192.0.2.0/24\n192.0.2.0/25\n')
  program.child.kill('SIGHUP')
  await program.waitFor('"networks":2')
  assert.equal(await visit(), 'the site')
})

test('a download is kept beside the state file, under a name that tells nothing', { timeout }, async (t) => {
  const server = await startListServer(t, { '/list?key=hidden': { body: '127.0.0.1\n', etag: '"one"' } })
  const cwd = makeDirectory(t)
  const list = `[defense.allowlist]\nenabled = true\nurls = ["${server.url('/list?key=hidden')}"]\n`
  writeConfig(cwd, await findFreePort(), list)
  const program = startProgram(t, ['run', 'config.toml'], { cwd })
  await program.waitFor('"listening"')
  const folder = join(cwd, 'ip-lists')
  await waitUntil(() => readdirSync(folder).some((name) => name.endsWith('.iplist')), 'the copy')
  const [name = ''] = readdirSync(folder)
  assert.match(readFileSync(join(folder, name), 'utf8'), /^#.*"one\\"".*\n127\.0\.0\.1\n$/)
  assert.doesNotMatch(program.stdout, /hidden/)
  assert.equal(server.requests[0]?.headers['user-agent'], 'curl/8.5.0')
})

test('a stop does not wait for a list that the start waits for', { timeout: 20_000 }, async (t) => {
  const server = await startListServer(t, { '/list': { body: '127.0.0.1', after: new Promise(() => {}) } })
  const cwd = makeDirectory(t)
  const list = `[defense.allowlist]\nenabled = true\nurls = ["${server.url('/list')}"]\n`
  writeConfig(cwd, await findFreePort(), list)
  const program = startProgram(t, ['run', 'config.toml'], { cwd })
  await waitUntil(() => server.open.now > 0, 'the download')
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0, program.stdout + program.stderr)
})
