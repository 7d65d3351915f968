import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeSecret } from '../end-to-end/world.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { type Peer, startPeer } from './support/peer.ts'
import { makeDirectory } from '../support/make-directory.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const timeout = 60_000
/** nobody and nogroup on Debian. */
const NOBODY = 65_534
/** A loopback address that nobody else in these tests listens on, and the port that needs a privilege. */
const HOST = '127.67.0.1'
const PORT = 443
/** CAP_NET_BIND_SERVICE is the tenth bit of capabilities(7). */
const NET_BIND_SERVICE_ONLY = '0000000000000400'
/** The repository is mounted where everybody may go: the clone may lie in a home directory. */
const SCRIPT = 'mount --bind "$1" "$2" && cd "$3" && shift 3 && exec setpriv "$@"'
const IDENTITY = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--no-new-privs']
const WITH_THE_PORT = [
  '--inh-caps=-all,+net_bind_service',
  '--ambient-caps=-all,+net_bind_service',
  '--bounding-set=-all,+net_bind_service',
]
const WITH_NOTHING = ['--inh-caps=-all', '--bounding-set=-all']

/** `run c.toml` as nobody, in this directory. */
function runAsNobody(t: TestContext, cwd: string, capabilities: readonly string[]): Peer {
  const mount = join(cwd, 'program')
  const inMount = (path: string): string => join(mount, relative(ROOT, path))
  const node = process.execPath.startsWith(ROOT) ? inMount(process.execPath) : process.execPath
  const main = inMount(join(ROOT, 'packages/primary/main.ts'))
  const program = [...IDENTITY, ...capabilities, node, main, 'run', 'c.toml']
  return startPeer(t, 'unshare', ['--mount', 'sh', '-c', SCRIPT, 'sh', ROOT, mount, cwd, ...program])
}

/** As an installation has it: root's configuration, which the proxy reads as its group, and a directory of its own. */
function prepare(t: TestContext, dcPort: number, secret: string): string {
  const cwd = makeDirectory(t)
  chmodSync(cwd, 0o755)
  const config = join(cwd, 'c.toml')
  writeFileSync(
    config,
    `bind-to = "${HOST}:${PORT}"\nsecret = "${secret}"\nstate-file = "state/state.json"\nperformance.workers = 2\n` +
      `defense.doppelganger.learn-front = false\n[dc]\n2 = "127.0.0.1:${dcPort}"\n`,
  )
  chmodSync(config, 0o640)
  chownSync(config, 0, NOBODY)
  return cwd
}

test('port 443 needs CAP_NET_BIND_SERVICE, and nothing else does', { timeout }, async (t) => {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const secret = makeSecret(1)
  const cwd = prepare(t, dc.port, secret)
  for (const name of ['program', 'state']) {
    const folder = join(cwd, name)
    mkdirSync(folder)
    chownSync(folder, NOBODY, NOBODY)
    chmodSync(folder, 0o700)
  }

  const refused = runAsNobody(t, cwd, WITH_NOTHING)
  const [code] = (await once(refused.child, 'close')) as [number] // close brings the exit code
  assert.equal(code, 1)
  assert.match(refused.output, /cannot start proxy on 127\.67\.0\.1:443: .*CAP_NET_BIND_SERVICE/)

  const program = runAsNobody(t, cwd, WITH_THE_PORT)
  await program.waitUntil(() => program.output.includes('"listening"'), 'listening')
  const status = readFileSync(`/proc/${program.child.pid}/status`, 'utf8')
  assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m)
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
    assert.match(status, new RegExp(`^${set}:\t${NET_BIND_SERVICE_ONLY}$`, 'm'))
  assert.match(status, /^NoNewPrivs:\t1$/m)

  const client = await connectFakeTls({ host: HOST, port: PORT, secret, dc: 2 })
  client.write(Buffer.from('hello'))
  assert.equal(String(await client.read(5)), 'hello')
  client.destroy()
  program.child.kill('SIGHUP')
  await program.waitUntil(() => program.output.includes('configuration has been reloaded'), 'reloading')
  await program.stop()
  assert.equal(program.child.exitCode, 0)
  const state = statSync(join(cwd, 'state/state.json'))
  assert.deepEqual([state.uid, state.mode & 0o777], [NOBODY, 0o600])
  assert.ok(!program.output.includes('others on this host'), program.output)
})
