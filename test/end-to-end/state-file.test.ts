import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { startProgram, type Program } from '../primary/commands/run-program.ts'
import { connectFakeTls } from '../support/faketls-client.ts'
import { findFreePort } from '../support/free-port.ts'
import type { StatsJson } from '../support/proxy.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { makeSecret, readMetric, startWorld, waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000
const USERS = { anna: makeSecret(1), boris: makeSecret(2) }

interface Site {
  readonly cwd: string
  readonly start: () => Promise<Program>
  readonly stats: () => Promise<StatsJson>
  readonly metrics: () => Promise<string>
  /** Send so many bytes as this user, and get them back. */
  readonly echo: (user: keyof typeof USERS, bytes: number) => Promise<void>
  readonly write: (users: readonly (keyof typeof USERS)[]) => void
}

async function prepare(t: TestContext): Promise<Site> {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const [port, apiPort, metricsPort] = [await findFreePort(), await findFreePort(), await findFreePort()]
  const cwd = makeDirectory(t)
  const write: Site['write'] = (users) =>
    writeFileSync(
      join(cwd, 'config.toml'),
      [
        `bind-to = "127.0.0.1:${port}"`,
        `api-bind-to = "127.0.0.1:${apiPort}"`,
        'state-file = "state.json"',
        `dc.2 = ["127.0.0.1:${dc.port}"]`,
        // A restart fronts hellos from the second before it, which is the second of this test.
        'defense.anti-replay.enabled = false',
        'performance.workers = 2',
        'defense.doppelganger.learn-front = false',
        `[stats.prometheus]\nenabled = true\nbind-to = "127.0.0.1:${metricsPort}"`,
        '[secrets]',
        ...users.map((user) => `${user} = "${USERS[user]}"`),
      ].join('\n'),
      { mode: 0o600 },
    )
  write(['anna', 'boris'])
  const stats = async (): Promise<StatsJson> =>
    (await (await fetch(`http://127.0.0.1:${apiPort}/stats`)).json()) as StatsJson
  return {
    cwd,
    write,
    stats,
    start: async () => {
      const program = startProgram(t, ['run', 'config.toml'], { cwd })
      await program.waitFor('"listening"')
      return program
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${metricsPort}/`)).text(),
    echo: async (user, bytes) => {
      const before = (await stats()).users[user]?.bytes_in ?? 0
      const client = await connectFakeTls({ port, secret: USERS[user], dc: 2 })
      client.write(Buffer.alloc(bytes, user))
      await client.read(bytes)
      client.end()
      await client.ended
      await waitUntil(async () => {
        const { users, total_connections: open } = await stats()
        return open === 0 && users[user]?.bytes_in === before + bytes
      }, `${user} has moved ${bytes} bytes more`)
    },
  }
}

async function stop(program: Program): Promise<void> {
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0, program.stdout + program.stderr)
}

test(
  'totals and last activity go on over a restart in /stats, and begin at 0 in Prometheus',
  { timeout },
  async (t) => {
    const site = await prepare(t)
    const first = await site.start()
    await site.echo('anna', 1_000)
    await site.echo('boris', 20)
    const before = await site.stats()
    await stop(first)

    const second = await site.start()
    const restored = await site.stats()
    assert.deepEqual(restored.users, before.users)
    assert.equal(readMetric(await site.metrics(), 'mtg_user_bytes'), 0)
    await site.echo('anna', 500)
    const { anna, boris } = (await site.stats()).users
    assert.deepEqual([anna?.bytes_in, anna?.bytes_out], [1_500, 1_500])
    assert.ok(Date.parse(anna?.last_seen ?? '') >= Date.parse(before.users['anna']?.last_seen ?? ''))
    assert.deepEqual(boris, before.users['boris'])
    assert.equal(
      readMetric(await site.metrics(), 'mtg_user_bytes', { user: 'anna', direction: 'from_client' }),
      500,
    )
    await stop(second)
    assert.match(
      readFileSync(join(site.cwd, 'state.json'), 'utf8'),
      /"name":"anna","bytes_in":1500,"bytes_out":1500,/,
    )
  },
)

test(
  'a user who is taken out and comes back finds the totals again, over a restart in between',
  { timeout },
  async (t) => {
    const site = await prepare(t)
    const first = await site.start()
    await site.echo('anna', 300)
    site.write(['boris'])
    first.child.kill('SIGHUP')
    await first.waitFor('configuration has been reloaded')
    assert.deepEqual(Object.keys((await site.stats()).users), ['boris'])
    await stop(first)

    const second = await site.start()
    site.write(['anna', 'boris'])
    second.child.kill('SIGHUP')
    await second.waitFor('configuration has been reloaded')
    assert.equal((await site.stats()).users['anna']?.bytes_in, 300)
    await site.echo('anna', 7)
    await stop(second)
  },
)

test(
  'after kill -9 the file is whole and free; a second proxy on it is refused before it binds anything',
  { timeout },
  async (t) => {
    const site = await prepare(t)
    const first = await site.start()
    await site.echo('anna', 300)
    await stop(first)
    const killed = await site.start()
    killed.child.kill('SIGKILL')
    await killed.exit()

    const third = await site.start()
    assert.equal((await site.stats()).users['anna']?.bytes_in, 300)
    const config = readFileSync(join(site.cwd, 'config.toml'), 'utf8')
    const other = config.replaceAll(/127\.0\.0\.1:\d+"/g, () => '127.0.0.1:1"').replace(/^dc.*$/m, '')
    const port = await findFreePort()
    writeFileSync(join(site.cwd, 'other.toml'), other.replace('127.0.0.1:1"', `127.0.0.1:${port}"`), {
      mode: 0o600,
    })
    const refused = startProgram(t, ['run', 'other.toml'], { cwd: site.cwd })
    assert.equal(await refused.exit(), 1)
    assert.match(refused.stderr, /cannot use state-file .*state\.json: another process uses it/)
    await stop(third)
  },
)

test(
  'what a user moves until the connection is cut counts, however late the user is taken out',
  { timeout },
  async (t) => {
    const { proxy, dc, secret } = await startWorld(t, {
      users: { alice: makeSecret(1), boris: makeSecret(2) },
      config: { stateFile: join(makeDirectory(t), 'state.json') },
    })
    const users = new Map(proxy.config.users.map((user) => [user.name, user]))
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    let bytes = 0
    const move = async (): Promise<void> => {
      const message = Buffer.alloc(1000, 7)
      client.write(message)
      bytes += (await client.read(message.length)).length
    }
    await move()
    await proxy.statsWhen(({ users: { alice } }) => alice?.bytes_out === bytes)
    await move() // threads publish four times a second: nobody knows of these yet
    await proxy.reload({ users: [users.get('boris')!] })
    await client.ended
    client.destroy()
    await proxy.statsWhen(({ total_connections: total }) => total === 0)
    await proxy.reload({ users: [...users.values()] })
    const { alice } = (await proxy.stats()).users
    assert.deepEqual([alice?.bytes_in, alice?.bytes_out], [bytes, bytes])
    assert.equal(dc.connections[0]?.receivedBytes, bytes)
  },
)
