import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ServiceManager } from '#primary/service-manager'
import { waitUntil } from '../end-to-end/world.ts'
import { makeDirectory } from '../support/make-directory.ts'

interface Fake {
  readonly env: NodeJS.ProcessEnv
  readonly warnings: unknown[]
  readonly manager: ServiceManager
  /** A line for each message. */
  readonly told: () => string[]
}

/** A systemd-notify that writes down what it is called with. */
function prepare(t: TestContext, extra: NodeJS.ProcessEnv = {}, script?: string): Fake {
  const cwd = makeDirectory(t)
  const told = join(cwd, 'told')
  const command = script ?? `printf '%s|' "$NOTIFY_SOCKET" "$@" >>${told}; echo >>${told}`
  writeFileSync(join(cwd, 'systemd-notify'), `#!/bin/sh\n${command}\n`, { mode: 0o700 })
  const env = { PATH: `${cwd}:/usr/bin:/bin`, NOTIFY_SOCKET: '/run/n', ...extra }
  const warnings: unknown[] = []
  const manager = new ServiceManager(env, { warn: (...line: unknown[]) => void warnings.push(line) })
  t.after(() => manager.leave())
  const read = (): string[] => (existsSync(told) ? readFileSync(told, 'utf8').trimEnd().split('\n') : [])
  return { env, warnings, manager, told: read }
}

test('each step of a life is told, in order', async (t) => {
  const { manager, told, warnings } = prepare(t)
  await manager.ready()
  manager.reloading()
  manager.reloaded()
  manager.upgrading()
  manager.stopping()
  await waitUntil(() => told().length === 5, 'five messages')
  const messages = told().map((line) => line.replace(/MONOTONIC_USEC=\d+/, 'MONOTONIC_USEC=…'))
  assert.deepEqual(messages, [
    `/run/n|READY=1|MAINPID=${process.pid}|STATUS=Serving|`,
    '/run/n|RELOADING=1|MONOTONIC_USEC=…|STATUS=Reading the configuration|',
    '/run/n|READY=1|STATUS=Serving|',
    '/run/n|STATUS=Starting a successor|',
    '/run/n|STOPPING=1|STATUS=Waiting for open connections to end|',
  ])
  const [, microseconds] = /MONOTONIC_USEC=(\d+)/.exec(told()[1] ?? '') ?? []
  assert.ok(Math.abs(Number(microseconds) - Number(process.hrtime.bigint() / 1000n)) < 60e6)
  assert.deepEqual(warnings, [])
})

test('after a successor has taken over, nothing is told any more', async (t) => {
  const { manager, told } = prepare(t)
  await manager.ready()
  manager.reloaded()
  await manager.leave()
  assert.equal(told().length, 2, 'what was said before is known')
  manager.stopping()
  await manager.ready()
  assert.equal(told().length, 2)
})

test('a service that stops is not said to serve again, whatever comes meanwhile', async (t) => {
  const { manager, told } = prepare(t)
  manager.stopping()
  manager.reloading()
  manager.reloaded()
  await manager.ready()
  assert.deepEqual(told(), ['/run/n|STOPPING=1|STATUS=Waiting for open connections to end|'])
})

test('without NOTIFY_SOCKET nobody is told', async (t) => {
  const { manager, told, warnings } = prepare(t, { NOTIFY_SOCKET: '' })
  await manager.ready()
  assert.deepEqual([told(), warnings], [[], []])
})

test('a command that is not there, or fails, is said once', async (t) => {
  for (const [env, script] of [
    [{ PATH: '/nowhere' }, undefined],
    [{}, 'exit 3'],
  ] as const) {
    const { manager, warnings } = prepare(t, env, script)
    await manager.ready()
    await manager.ready()
    assert.equal(warnings.length, 1, JSON.stringify(warnings))
  }
})

test('of a manager that does not listen no more is waited for than a few messages', async (t) => {
  const { manager, told } = prepare(t)
  for (let count = 0; count < 40; count++) manager.reloaded()
  await waitUntil(() => told().length === 16, 'sixteen messages')
  await manager.ready()
  assert.equal(told().length, 17, 'what comes later is told again')
})

test('half of its time lies between two words for the watchdog', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { manager } = prepare(t, { WATCHDOG_USEC: '30000000' })
  let asked = 0
  manager.watch(async () => {
    asked += 1
    return false
  })
  t.mock.timers.tick(14_999)
  assert.equal(asked, 0)
  t.mock.timers.tick(1)
  assert.equal(asked, 1)
})

test('the watchdog is told twice in its time for as long as all is well', async (t) => {
  const { manager, told } = prepare(t, { WATCHDOG_USEC: '100000', WATCHDOG_PID: String(process.pid) })
  let answer = Promise.withResolvers<boolean>()
  answer.resolve(true)
  let asked = 0
  manager.watch(() => {
    asked += 1
    return answer.promise
  })
  await waitUntil(() => told().length >= 2, 'two messages')
  assert.equal(told()[0], '/run/n|WATCHDOG=1|')
  answer = Promise.withResolvers() // a thread hangs
  const before = asked
  await waitUntil(() => asked > before, 'it is asked once more')
  await manager.ready() // behind all that were on their way
  const last = told().length
  answer.resolve(false)
  await waitUntil(() => asked > before + 2, 'it goes on asking')
  await manager.ready()
  assert.equal(told().length, last + 1)
})

test('a watchdog of another process is not ours to feed, and neither is one without a time', async (t) => {
  const sixtyDays = String(60 * 86_400 * 1e6) // more than timers of Node can wait, which then fire at once
  for (const env of [
    { WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' },
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: sixtyDays },
    {},
  ]) {
    const { manager } = prepare(t, env)
    manager.watch(() => assert.fail('nobody asks'))
    await new Promise((resolve) => setTimeout(resolve, 60)) // it would have been asked twice by now
  }
})
