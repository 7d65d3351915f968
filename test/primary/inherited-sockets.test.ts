import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { type AddressInfo, BoundSocket, createServer } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { takeInheritedSockets } from '#primary/inherited-sockets'
import { OperatorError } from '#shared/errors'
import { connectRaw } from '../support/faketls-client.ts'
import { LIMIT_MS, Program } from './commands/run-program.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = LIMIT_MS
const MAIN = fileURLToPath(new URL('../../packages/primary/main.ts', import.meta.url))
const SECRET = `ee${'01'.repeat(16)}${Buffer.from('front.test').toString('hex')}`
const HELLO_WITHOUT_KEY = Buffer.from('GET / HTTP/1.1\r\n\r\n')

function take(env: NodeJS.ProcessEnv): { taken: unknown; warnings: unknown[] } {
  const warnings: unknown[] = []
  const log = { warn: (...line: unknown[]) => void warnings.push(line) }
  const taken = takeInheritedSockets(env, 42, log)
  return { taken, warnings }
}

test('descriptors are counted from 3, with their names, and the environment forgets them', () => {
  const env = { LISTEN_FDS: '3', LISTEN_PID: '42', LISTEN_FDNAMES: 'a:b', PATH: '/bin' }
  assert.deepEqual(take(env), {
    taken: [
      { fd: 3, name: 'a' },
      { fd: 4, name: 'b' },
      { fd: 5, name: 'unknown' },
    ],
    warnings: [],
  })
  assert.deepEqual(env, { PATH: '/bin' })
  assert.deepEqual(take({}), { taken: [], warnings: [] })
  assert.deepEqual(take({ LISTEN_FDS: '0', LISTEN_PID: '42' }).taken, [])
})

test('what was passed to another process is left alone, and said', () => {
  for (const owner of ['41', '', undefined]) {
    const env = { LISTEN_FDS: '1', ...(owner === undefined ? {} : { LISTEN_PID: owner }) }
    const { taken, warnings } = take(env)
    assert.deepEqual([taken, warnings.length, env], [[], 1, {}])
  }
})

test('a number of descriptors that is none is the operator’s to mend', () => {
  for (const LISTEN_FDS of ['', '-1', '1.5', 'x', '65', '99999999999'])
    assert.throws(() => take({ LISTEN_FDS, LISTEN_PID: '42' }), OperatorError, LISTEN_FDS)
})

/** The program with descriptors from 3 on, as a service manager starts it: the pid is known to the shell alone. */
function startWith(
  t: TestContext,
  fds: readonly number[],
  config: string,
  options: { waits?: boolean } = {},
): Program {
  const cwd = makeDirectory(t, { 'c.toml': config })
  const script = `read -r go; LISTEN_PID=$$ exec "$0" "$1" run c.toml`
  const child = spawn('sh', ['-c', script, process.execPath, MAIN], {
    cwd,
    env: {
      ...process.env,
      LISTEN_FDS: String(fds.length),
      LISTEN_FDNAMES: fds.map(() => 'clients').join(':'),
    },
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
  })
  t.after(() => child.kill('SIGKILL'))
  if (options.waits !== true) child.stdin?.end('go\n')
  return new Program(child)
}

function bindSocket(t: TestContext): { fd: number; port: number } {
  const bound = new BoundSocket({ host: '127.0.0.1', port: 0 })
  t.after(() => bound.close())
  return { fd: bound.fd(), port: bound.address().port }
}

const buildConfig = (bindTo: readonly number[]): string =>
  `secret = "${SECRET}"\ndebug = true\nbind-to = [${bindTo.map((port) => `"127.0.0.1:${port}"`).join(', ')}]\n` +
  'performance.workers = 1\n[domain-fronting]\nhost = "127.0.0.1"\nport = 9\n'

test(
  'a passed socket takes the place of ours for its address; the others are bound as ever',
  { timeout, skip: process.platform !== 'linux' && 'looks into /proc' },
  async (t) => {
    const passed = bindSocket(t)
    const own = await findFreePort()
    const program = startWith(t, [passed.fd], buildConfig([own, passed.port]))
    await program.waitFor(`"bind":"127.0.0.1:${passed.port}"`)
    const binds = program.log().filter(({ message }) => message === 'listening')
    assert.deepEqual(
      binds.map(({ bind }) => bind),
      [`127.0.0.1:${own}`, `127.0.0.1:${passed.port}`],
    )
    for (const port of [own, passed.port]) {
      const client = await connectRaw({ port })
      t.after(() => client.destroy())
      client.on('error', () => {})
      const { localPort } = client
      client.end(HELLO_WITHOUT_KEY)
      assert.ok(localPort)
    }
    await program.waitFor('"Stream has been finished"')
    // O_CLOEXEC: no program started from here gets the descriptor.
    const info = readFileSync(`/proc/${program.child.pid}/fdinfo/3`, 'utf8')
    const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] ?? '0', 8)
    assert.equal(flags & 0o2000000, 0o2000000, info)
    program.child.kill('SIGTERM')
    assert.equal(await program.exit(), 0)
  },
)

test(
  'who comes before the program stands waits in the passed socket, and is served',
  { timeout },
  async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo // a TCP server has no other kind of address
    // Node does not tell the descriptor of a server otherwise.
    const { _handle: handle } = server as unknown as { _handle: { fd: number } }
    const program = startWith(t, [handle.fd], buildConfig([port]), { waits: true })
    server.close() // the socket lives on in the program, and nobody accepts yet
    const early = await Promise.all(Array.from({ length: 8 }, () => connectRaw({ port })))
    program.child.stdin?.end('go\n')
    for (const client of early) client.on('error', () => {}).end(HELLO_WITHOUT_KEY)
    const finished = (): number => program.stdout.split('"Stream has been finished"').length - 1
    while (finished() < early.length) await once(program.child.stdout ?? program.child, 'data')
    for (const client of early) client.destroy()
  },
)

test('a passed socket that bind-to does not name is told, and ends the start', { timeout }, async (t) => {
  const passed = bindSocket(t)
  const program = startWith(t, [passed.fd], buildConfig([await findFreePort()]))
  assert.equal(await program.exit(), 1)
  assert.equal(
    program.stderr,
    `mtg-multi: error: the service manager listens on 127.0.0.1:${passed.port} for us (descriptor 3, clients), ` +
      'which is not in bind-to: name the same addresses in both\n',
  )
})

test('a passed descriptor that is no socket is told, and ends the start', { timeout }, async (t) => {
  const cwd = makeDirectory(t, { file: 'precious' })
  const fd = openSync(join(cwd, 'file'), 'r')
  t.after(() => closeSync(fd))
  const program = startWith(t, [fd], buildConfig([await findFreePort()]))
  assert.equal(await program.exit(), 1)
  assert.match(
    program.stderr,
    /^mtg-multi: error: the service manager has passed descriptor 3 \(clients\), which is not/,
  )
})
