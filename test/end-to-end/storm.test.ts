import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { test } from 'node:test'
import { connectFakeTls, connectRaw } from '../support/faketls-client.ts'
import { countDescriptors, eventually } from '../support/process-state.ts'
import { runStorm } from '../support/storm.ts'
import { startStreamDc } from '../support/stream-dc.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeDirectory } from '../support/make-directory.ts'

const SECRET = `ee${'06'.repeat(16)}${Buffer.from('example.com').toString('hex')}`
const options = { timeout: 120_000 }
const OUT_OF_DESCRIPTORS =
  'out of file descriptors, new clients are closed: raise the limit (ulimit -n, LimitNOFILE=) or lower concurrency'

// 2000 at once are test/soak/storm.test.ts, 20,000 in sequence storm.ts there.
for (const [clients, inFlight] of [
  [500, 500],
  [500, 100],
] as const) {
  test(
    `of ${clients} clients, ${inFlight} at a time, none is lost and nothing of them stays`,
    options,
    async (t) => {
      const { clientsPerSecond, heapGrowthBytes } = await runStorm(clients, inFlight)
      t.diagnostic(
        `${Math.round(clientsPerSecond)} clients a second, heaps grew by ${heapGrowthBytes.join(', ')} bytes`,
      )
    },
  )
}

interface Program {
  readonly child: ChildProcessByStdio<null, Readable, null>
  readonly log: Record<string, unknown>[]
  /** Resolves when the log says so. */
  readonly logged: (message: string) => Promise<Record<string, unknown>>
}

/** The program as an operator starts it, in a shell with a limit on open files. */
function startLimited(openFiles: number, config: string): Program {
  const main = new URL('../../packages/primary/main.ts', import.meta.url).pathname
  const child = spawn(
    'sh',
    ['-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', process.execPath, main, 'run', config],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const log: Record<string, unknown>[] = []
  createInterface(child.stdout).on('line', (line) => log.push(JSON.parse(line) as Record<string, unknown>))
  return {
    child,
    log,
    logged: async (message) => {
      const isIt = (line: Record<string, unknown>): boolean => line['message'] === message
      await eventually(message, () => log.some(isIt), Boolean)
      return log.find(isIt)!
    },
  }
}

const isClosed = (socket: Socket): boolean => socket.readableEnded || socket.closed

test(
  'out of descriptors the program says so, closes whom it cannot take, and goes on',
  options,
  async (t) => {
    const openFiles = 256
    const held = 400
    const dc = await startStreamDc({ mode: 'echo' })
    const port = await findFreePort()
    const folder = makeDirectory(t, {
      'config.toml': [
        `secret = "${SECRET}"`,
        `bind-to = "127.0.0.1:${port}"`,
        'concurrency = 1000',
        // Far above the limit of this test: a hand-off that was lost would hold the drain up for so long.
        'shutdown-timeout = "5m"',
        // All of them have one address.
        '[defense]',
        'max-handshakes = 0',
        'max-handshakes-per-address = 0',
        '[domain-fronting]',
        'host = "127.0.0.1"',
        `port = ${dc.port}`,
        '[performance]',
        'workers = 2',
        '[network.timeout]',
        'handshake = "1m"',
        '[dc]',
        `2 = ["127.0.0.1:${dc.port}"]`,
        '',
      ].join('\n'),
    })
    const { child, log, logged } = startLimited(openFiles, join(folder, 'config.toml'))
    const exited = once(child, 'exit')
    t.after(async () => {
      child.kill('SIGKILL')
      await exited
      await dc.close()
    })
    await logged('listening')
    const count = (): number => countDescriptors(child.pid)
    const before = count()
    const warning = log.find(({ needed }) => needed !== undefined)
    assert.equal(warning?.['level'], 'warn')
    assert.equal(warning?.['limit'], openFiles)
    assert.equal(warning?.['needed'], 2 * 1000 + 100)
    assert.match(String(warning?.['message']), /ulimit -n/)

    const served = await connectFakeTls({ port, secret: SECRET, dc: 2 })
    // Clients that say nothing hold a descriptor each until there is none left.
    const silent = await Promise.all(Array.from({ length: held }, () => connectRaw({ port })))
    for (const socket of silent) socket.on('error', () => {}).resume()
    const refused = await eventually(
      'clients that are closed',
      () => silent.filter(isClosed).length,
      (count) => count >= held - openFiles,
    )
    t.diagnostic(`${held - refused} of ${held} silent clients held, ${refused} closed`)
    const said = await logged(OUT_OF_DESCRIPTORS)
    assert.equal(said['level'], 'warn')
    assert.equal(said['error'], 'EMFILE')
    const message = randomBytes(50_000)
    served.write(message)
    assert.ok(
      message.equals(await served.read(message.length)),
      'the echo of the one that was there before differs',
    )
    // Now all want to see the site, and there is nothing to dial it with.
    for (const socket of silent) if (!isClosed(socket)) socket.write('GET / HTTP/1.1\r\n\r\n')
    const isUnfronted = ({ code }: Record<string, unknown>): boolean => code === 'no-descriptors'
    await eventually('a dial without a descriptor', () => log.some(isUnfronted), Boolean)
    for (const socket of silent) socket.destroy()

    const later = await eventually(
      'service',
      () => connectFakeTls({ port, secret: SECRET, dc: 2 }).catch(() => null),
      (client) => client !== null,
    )
    later!.write(message)
    assert.ok(message.equals(await later!.read(message.length)), 'the echo of the later one differs')
    assert.ok(!log.some(({ level }) => level === 'error'), JSON.stringify(log))
    served.destroy()
    later!.destroy()
    await eventually('the descriptors of before', count, (now) => now <= before)
    const times = log
      .filter(({ message: text }) => text === OUT_OF_DESCRIPTORS)
      .map(({ timestamp }) => Number(timestamp))
    for (const [at, time] of times.slice(1).entries())
      // A second by the program's clock, which it reads some time before the one of the line.
      assert.ok(time - times[at]! >= 500, `two lines within ${time - times[at]!} ms`)
    child.kill('SIGTERM')
    await eventually(
      'the end of the drain',
      () => child.exitCode,
      (code) => code === 0,
    )
  },
)
