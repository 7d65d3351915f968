/** Clients that talk without pause while the program is replaced, again and again. */
import assert from 'node:assert/strict'
import { get } from 'node:http'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeSecret, waitUntil } from '../end-to-end/world.ts'
import { startProgram, type Program } from '../primary/commands/run-program.ts'
import { connectFakeTls, type FakeTlsClient } from './faketls-client.ts'
import { findFreePort } from './free-port.ts'
import type { StatsJson } from './proxy.ts'
import { startStreamDc } from './stream-dc.ts'
import { makeDirectory } from './make-directory.ts'

const MESSAGE = Buffer.alloc(64, 'echo')
const PAUSE_MS = 50
export const SECRET: string = makeSecret(1)

export interface Upgradable {
  readonly program: Program
  readonly cwd: string
  readonly port: number
  readonly apiPort: number
  readonly metricsPort: number
  /** Of the configuration file. */
  readonly lines: readonly string[]
  readonly connect: (options?: Partial<Parameters<typeof connectFakeTls>[0]>) => Promise<FakeTlsClient>
  readonly stats: () => Promise<StatsJson>
  /** Process ids from the log, the first one's first. */
  readonly pids: () => number[]
  /** Send SIGUSR2 to the newest process and wait for what the log says then. */
  readonly upgrade: (until?: string) => Promise<void>
}

export interface UpgradableOptions {
  readonly extra?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** What `[secrets]` says of anna in place of her secret alone. */
  readonly anna?: string
  /** `api-bind-to` in place of a free port. */
  readonly api?: string
  /** Of the program and of every successor. */
  readonly nodeArgs?: readonly string[]
}

/** The program with an echoing data centre; it and its successors end with the test. */
export async function startUpgradable(
  t: Pick<TestContext, 'after'>,
  { extra = [], env = {}, anna = `"${SECRET}"`, api, nodeArgs = [] }: UpgradableOptions = {},
): Promise<Upgradable> {
  const dc = await startStreamDc({ mode: 'echo' })
  t.after(() => dc.close())
  const [port, apiPort, metricsPort] = [await findFreePort(), await findFreePort(), await findFreePort()]
  const lines = [
    `bind-to = "127.0.0.1:${port}"`,
    `api-bind-to = "${api ?? `127.0.0.1:${apiPort}`}"`,
    'state-file = "state.json"',
    'shutdown-timeout = "120s"',
    'performance.workers = 2',
    'defense.doppelganger.learn-front = false',
    `dc.2 = ["127.0.0.1:${dc.port}"]`,
    ...extra,
    `[stats.prometheus]\nenabled = true\nbind-to = "127.0.0.1:${metricsPort}"`,
    `[secrets]\nanna = ${anna}`,
  ]
  // The type of the helpers wants a whole context; they use `after` alone.
  const context = t as TestContext
  const cwd = makeDirectory(context, { 'config.toml': lines.join('\n') })
  const program = startProgram(context, ['run', 'config.toml'], { cwd, env, nodeArgs })
  const pids = (): number[] => [
    program.child.pid ?? 0,
    ...linesWith(program, 'starting a successor').map(({ pid }) => Number(pid)),
  ]
  t.after(() => pids().slice(1).forEach(killIfThere))
  await program.waitFor('"listening"')
  return {
    program,
    cwd,
    port,
    apiPort,
    metricsPort,
    lines,
    pids,
    // A first start fronts hellos of the second before it, which is the second of this test.
    connect: (options = {}) =>
      connectFakeTls({
        port,
        secret: SECRET,
        dc: 2,
        unixTime: Math.floor(Date.now() / 1000) + 3,
        ...options,
      }),
    stats: async () => JSON.parse(await httpGet(apiPort, '/stats')) as StatsJson,
    upgrade: async (until = 'a successor serves') => {
      const before = linesWith(program, until).length
      process.kill(servingPid(program), 'SIGUSR2')
      await waitUntil(() => linesWith(program, until).length > before, until)
    },
  }
}

/** The one that was started last and did not fail. */
export function servingPid(program: Program): number {
  const served = linesWith(program, 'a successor serves')
  return Number(served.at(-1)?.['pid'] ?? program.child.pid)
}

export function linesWith(program: Program, message: string): Record<string, unknown>[] {
  return program.lines
    .filter((line) => line.includes(`"message":"${message}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** One request, one connection, to a port or a UNIX socket, so that nothing of it is of the process before. */
export function httpGet(port: number | string, path: string): Promise<string> {
  const where = typeof port === 'number' ? { host: '127.0.0.1', port } : { socketPath: port }
  return new Promise((resolve, reject) => {
    get({ ...where, path, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(text)).on('error', reject)
    }).on('error', reject)
  })
}

export interface UpgradeStorm {
  readonly clients: number
  readonly newPerSecond: number
  readonly upgrades: number
  /** Between two of them. */
  readonly pauseMs: number
}

export interface UpgradeStormResult {
  readonly newClients: number
  readonly bytes: number
}

/** @throws AssertionError when a connection is cut, refused or answered wrongly, or a byte is not counted */
export async function runUpgradeStorm(
  t: Pick<TestContext, 'after'>,
  storm: UpgradeStorm,
): Promise<UpgradeStormResult> {
  const site = await startUpgradable(t)
  const { program } = site
  const over = new AbortController()
  let bytes = 0
  let newClients = 0
  const exchange = async (client: FakeTlsClient): Promise<void> => {
    client.write(MESSAGE)
    assert.deepEqual(await client.read(MESSAGE.length), MESSAGE)
    bytes += MESSAGE.length
  }
  const end = async (client: FakeTlsClient): Promise<void> => {
    client.end()
    assert.equal((await client.closed).errorCode, null)
  }
  const clients = await Promise.all(Array.from({ length: storm.clients }, () => site.connect()))
  const talks = clients.map(async (client) => {
    while (!over.signal.aborted) {
      await exchange(client)
      await sleep(PAUSE_MS)
    }
    await end(client)
  })
  const visits: Promise<void>[] = []
  const visitors = setInterval(() => {
    visits.push(
      (async () => {
        const client = await site.connect()
        await exchange(client)
        await end(client)
        newClients += 1
      })(),
    )
  }, 1000 / storm.newPerSecond)
  const scrapes = (async () => {
    while (!over.signal.aborted) {
      JSON.parse(await httpGet(site.apiPort, '/stats'))
      assert.match(await httpGet(site.metricsPort, '/'), /mtg_user_bytes/)
      await sleep(PAUSE_MS)
    }
  })()
  const failures = Promise.all([...talks, scrapes])
  failures.catch(() => {}) // seen below
  try {
    for (let upgrade = 0; upgrade < storm.upgrades; upgrade++) {
      await Promise.race([failures, sleep(storm.pauseMs)])
      await Promise.race([failures.then(() => assert.fail('all clients have ended')), site.upgrade()])
    }
    await Promise.race([failures, sleep(storm.pauseMs)])
  } finally {
    over.abort()
    clearInterval(visitors)
  }
  await failures
  await Promise.all(visits)
  await waitUntil(async () => {
    const { anna } = (await site.stats()).users
    assert.ok((anna?.bytes_in ?? 0) <= bytes && (anna?.bytes_out ?? 0) <= bytes, 'a byte is counted twice')
    return anna?.bytes_in === bytes && anna.bytes_out === bytes
  }, `/stats counts ${bytes} bytes`)
  await waitUntil(async () => (await site.stats()).total_connections === 0, 'everybody has left')
  // Whoever was replaced has ended, in order.
  await waitUntil(
    () => linesWith(program, 'proxy has been stopped').length === storm.upgrades,
    'the replaced processes have ended',
  )
  process.kill(servingPid(program), 'SIGTERM')
  await program.exit()
  const files = readdirSync(site.cwd).toSorted()
  assert.deepEqual(files, ['config.toml', 'state.json'])
  assert.match(
    readFileSync(join(site.cwd, 'state.json'), 'utf8'),
    new RegExp(`"name":"anna","bytes_in":${bytes},"bytes_out":${bytes},`),
  )
  const bad = program.log().filter(({ level }) => level === 'warn' || level === 'error')
  assert.deepEqual(bad, [])
  assert.equal(program.stderr, '')
  return { newClients, bytes }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended, as it should.
  }
}
