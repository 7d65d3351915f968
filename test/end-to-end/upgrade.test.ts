import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildClientHello, type ClientHello } from '../support/client-hello.ts'
import { connectRaw, parseClientSecret } from '../support/faketls-client.ts'
import { startRecordingSite } from '../support/front-site.ts'
import type { StatsJson } from '../support/proxy.ts'
import {
  httpGet,
  linesWith,
  runUpgradeStorm,
  SECRET,
  servingPid,
  startUpgradable,
} from '../support/upgrade-storm.ts'
import { waitUntil } from './world.ts'
import { makeDirectory } from '../support/make-directory.ts'

const timeout = 60_000

test(
  'an upgrade under load: nobody is cut, nobody is refused, every byte is counted',
  { timeout },
  async (t) => {
    const { newClients, bytes } = await runUpgradeStorm(t, {
      clients: 20,
      newPerSecond: 50,
      upgrades: 1,
      pauseMs: 100,
    })
    t.diagnostic(`${newClients} new clients, ${bytes} bytes`)
    assert.ok(newClients > 0)
  },
)

test(
  'a successor that fails to start changes nothing; one that serves knows the hellos of before',
  { timeout },
  async (t) => {
    const site = await startRecordingSite({ reply: Buffer.from('this is the site') })
    t.after(() => site.close())
    const apiPath = join(makeDirectory(t), 'api.sock')
    const proxy = await startUpgradable(t, {
      api: `unix:${apiPath}`,
      extra: [
        'debug = true',
        'tolerate-time-skewness = "60s"',
        `domain-fronting.host = "127.0.0.1"\ndomain-fronting.port = ${site.port}`,
      ],
    })
    const { program, port } = proxy
    const startedAt = Math.floor(Date.now() / 1000)
    const write = (lines: readonly string[]): void =>
      writeFileSync(join(proxy.cwd, 'config.toml'), lines.join('\n'))
    const { key, host } = parseClientSecret(SECRET)
    const buildHello = (): ClientHello => buildClientHello({ key, host, unixTime: startedAt + 1 })
    const hello = buildHello()
    const held = await proxy.connect({ hello })
    const talk = async (): Promise<void> => {
      held.write(Buffer.from('still there?'))
      assert.equal((await held.read(12)).toString(), 'still there?')
    }

    write(['nonsense = [', ...proxy.lines])
    await proxy.upgrade('the successor did not start, this process goes on')
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    t.after(() => taken.close())
    const address = `"127.0.0.1:${(taken.address() as AddressInfo).port}"` // a TCP server has no other kind
    write(proxy.lines.map((line) => line.replace(/^bind-to = (.*)$/, `bind-to = [$1, ${address}]`)))
    await proxy.upgrade('the successor did not start, this process goes on')
    await talk()
    const errors = linesWith(program, 'the successor did not start, this process goes on')
    assert.deepEqual(
      errors.map(({ error }) => error),
      ['it ended with exit code 1', 'it ended with exit code 1'],
    )

    write(proxy.lines)
    const answers = new AbortController()
    const scrape = (async () => {
      while (!answers.signal.aborted) JSON.parse(await httpGet(apiPath, '/stats'))
    })()
    const upgraded = proxy.upgrade()
    await waitUntil(() => proxy.pids().length === 4, 'a successor is being started')
    process.kill(program.child.pid ?? 0, 'SIGUSR2')
    await upgraded
    answers.abort()
    await scrape
    assert.deepEqual(
      linesWith(program, 'SIGUSR2 is ignored').map(({ reason }) => reason),
      ['a successor is being started'],
    )
    await talk()

    // Seen by the process before: it is shown the site. One of the same second that nobody has seen is served.
    const replay = await connectRaw({ port })
    t.after(() => replay.destroy())
    replay.write(hello.bytes)
    const [answer] = (await once(replay, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'this is the site')
    const late = await proxy.connect({ hello: buildHello() })
    late.write(Buffer.from('served'))
    assert.equal((await late.read(6)).toString(), 'served')

    // Who does not want to wait for the drain ends the old one; what it has counted is not lost.
    process.kill(program.child.pid ?? 0, 'SIGTERM')
    await held.ended.catch(() => {}) // by FIN or by RST
    held.destroy() // it keeps its own side open
    await waitUntil(
      async () =>
        (JSON.parse(await httpGet(apiPath, '/stats')) as StatsJson).users['anna']?.bytes_in === 24 + 6,
      'the successor counts what the process before it has counted',
    )
    // Its last words come behind what it hands on.
    await waitUntil(() => linesWith(program, 'proxy has been stopped').length === 1, 'its end')
    late.write(Buffer.from('served'))
    assert.equal((await late.read(6)).toString(), 'served')
    late.destroy()
    replay.destroy()
    process.kill(servingPid(program), 'SIGTERM')
    await program.exit()
    assert.ok(!existsSync(apiPath))
  },
)
