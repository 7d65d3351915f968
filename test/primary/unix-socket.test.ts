import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { startStatsApi } from '#primary/stats/stats-api'
import { OperatorError } from '#shared/errors'

import { LIMIT_MS, startProgram } from './commands/run-program.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeDirectory } from '../support/make-directory.ts'

const SECRET = '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'

function makePath(t: TestContext): string {
  const folder = makeDirectory(t)
  return join(folder, 'api.sock')
}

function start(path: string): ReturnType<typeof startStatsApi> {
  return startStatsApi({
    address: { path },
    snapshot: () => ({ startedAtMs: 0, users: [], throttle: null }),
    ready: () => true,
  })
}

async function askSocket(socketPath: string, path: string): Promise<string> {
  const outgoing = request({ socketPath, path, agent: false }).end()
  const [response] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer>] // an IncomingMessage
  return Buffer.concat(await Array.fromAsync(response)).toString()
}

test('the API answers on a UNIX socket, which is gone after it', async (t) => {
  const path = makePath(t)
  const api = await start(path)
  assert.equal(api.bind, `unix:${path}`)
  assert.equal(await askSocket(path, '/health/live'), 'ok\n')
  await api.close()
  assert.equal(existsSync(path), false)
})

test('a socket that a killed process left behind is replaced', async (t) => {
  const path = makePath(t)
  // Exiting without closing leaves the file, as a kill does.
  const dead = startProgram(t, [], {
    nodeArgs: [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.exit())`,
      '--',
    ],
  })
  await dead.exit()
  assert.equal(existsSync(path), true)
  const api = await start(path)
  assert.equal(await askSocket(path, '/health/live'), 'ok\n')
  await api.close()
})

test('what a killed process with our own number left behind is replaced too', async (t) => {
  const path = makePath(t)
  const other = createServer().listen(`${path}.${process.pid}`)
  await once(other, 'listening')
  const api = await start(path)
  assert.equal(await askSocket(path, '/health/live'), 'ok\n')
  await api.close()
  other.close()
})

test('a socket that somebody serves, and a file that is no socket, stay', async (t) => {
  const path = makePath(t)
  const other = createServer().listen(path)
  await once(other, 'listening')
  const taken = `cannot start stats API on unix:${path}: address already in use`
  await assert.rejects(start(path), (error) => error instanceof OperatorError && error.message === taken)
  assert.equal(existsSync(path), true)
  await new Promise((resolve) => other.close(resolve))

  writeFileSync(path, 'precious')
  await assert.rejects(start(path), (error) => error instanceof OperatorError && error.message === taken)
  assert.equal(existsSync(path), true)
})

test('the whole program serves API and metrics on UNIX sockets', { timeout: LIMIT_MS }, async (t) => {
  const cwd = makeDirectory(t)
  const [api, metrics] = [join(cwd, 'api.sock'), join(cwd, 'metrics.sock')]
  writeFileSync(
    join(cwd, 'c.toml'),
    `secret = "${SECRET}"\nbind-to = "127.0.0.1:${await findFreePort()}"\napi-bind-to = "unix:${api}"\n` +
      `performance.workers = 1\ndefense.doppelganger.learn-front = false\n[stats.prometheus]\nenabled = true\nbind-to = "unix:${metrics}"\n`,
    { mode: 0o600 },
  )
  const program = startProgram(t, ['run', 'c.toml'], { cwd })
  await program.waitFor('"Prometheus exporter started"')
  assert.match(await askSocket(api, '/stats'), /^\{"started_at":/)
  assert.match(await askSocket(metrics, '/'), /^# HELP mtg_/)
  program.child.kill('SIGTERM')
  assert.equal(await program.exit(), 0)
})
