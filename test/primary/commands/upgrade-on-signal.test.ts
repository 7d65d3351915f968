import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type UpgradeOptions, upgradeOnSignal } from '#primary/commands/upgrade-on-signal'
import type { RunningProxy } from '#primary/proxy'
import { ServiceManager } from '#primary/service-manager'
import type { Logger } from '#shared/logger'
import { startWorld, waitUntil } from '../../end-to-end/world.ts'
import { connectFakeTls } from '../../support/faketls-client.ts'
import { makeDirectory } from '../../support/make-directory.ts'
import { recordLog, type RecordedLine } from '../../support/record-log.ts'

// The test runner makes Node write a report for this signal.
process.report.reportOnSignal = false

for (const [what, says] of [
  ['says nothing', ''],
  ['stands and never serves', "process.send({ type: 'standing' })"],
] as const) {
  test(`a successor that ${what} is ended after its limit, and the next may try`, async (t) => {
    const { proxy, secret } = await startWorld(t)
    const { logger: log, lines: all } = recordLog()
    const lines = (message: string): RecordedLine[] => all.filter((line) => line['message'] === message)
    t.after(
      upgradeOnSignal({
        ...forbidden(log),
        starting: Promise.resolve(proxy.running),
        limits: { standMs: 300, serveMs: 300, settleMs: 300 },
        args: ['-e', `setInterval(() => {}, 1000); ${says}`],
      }),
    )
    const client = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    t.after(() => client.destroy())
    for (const attempt of [1, 2]) {
      process.kill(process.pid, 'SIGUSR2')
      const failed = 'the successor did not start, this process goes on'
      await waitUntil(() => lines(failed).length === attempt, failed)
      const { pid, error } = lines(failed).at(-1)!
      assert.equal(pid, lines('starting a successor').at(-1)?.['pid'])
      assert.equal(error, 'it did not answer in time')
      await waitUntil(() => !isThere(Number(pid)), 'it has been ended')
      client.write(Buffer.from('still there?'))
      assert.equal((await client.read(12)).toString(), 'still there?')
    }
    const next = await connectFakeTls({ port: proxy.port, secret, dc: 2 })
    next.destroy()
  })
}

test('a watchdog that is meant for this process is meant for the one that takes its place', async (t) => {
  const { proxy } = await startWorld(t)
  const file = join(makeDirectory(t), 'env')
  Object.assign(process.env, { WATCHDOG_PID: String(process.pid), WATCHDOG_USEC: '30000000' })
  const { logger: log, lines } = recordLog()
  const isOver = (): boolean => lines.some(({ level }) => level === 'error')
  try {
    t.after(
      upgradeOnSignal({
        ...forbidden(log),
        starting: Promise.resolve(proxy.running),
        limits: { standMs: 300, serveMs: 300, settleMs: 300 },
        args: ['-e', `fs.writeFileSync(${JSON.stringify(file)}, JSON.stringify(process.env))`],
      }),
    )
    await nextTurn()
    process.emit('SIGUSR2')
    await waitUntil(isOver, 'it has ended')
  } finally {
    delete process.env['WATCHDOG_PID']
    delete process.env['WATCHDOG_USEC']
  }
  const env = JSON.parse(readFileSync(file, 'utf8')) as NodeJS.ProcessEnv
  assert.deepEqual([env['WATCHDOG_USEC'], env['WATCHDOG_PID']], ['30000000', undefined])
})

test('where an upgrade cannot be, the signal is ignored with the reason', async () => {
  const whole = { isWhole: true } as RunningProxy // nothing else of it is looked at
  const half = { isWhole: false } as RunningProxy
  const never = new Promise<RunningProxy>(() => {})
  for (const [starting, reason, isStopping = false, pid = process.pid] of [
    [never, 'the start is not over'],
    [Promise.resolve(whole), 'the process is stopping', true],
    [Promise.resolve(half), 'the process before this one has not let go of everything yet'],
    [Promise.resolve(whole), 'the end of process 1 would end its container', false, 1],
  ] as const) {
    const { logger: log, lines } = recordLog()
    const stopping = isStopping ? AbortSignal.abort() : new AbortController().signal
    const stop = upgradeOnSignal({ ...forbidden(log), starting, stopping })
    await nextTurn()
    const own = Object.getOwnPropertyDescriptor(process, 'pid') ?? {}
    Object.defineProperty(process, 'pid', { ...own, value: pid })
    try {
      process.emit('SIGUSR2')
    } finally {
      Object.defineProperty(process, 'pid', own)
      stop()
    }
    assert.deepEqual(
      lines.map((line) => [line['message'], line['reason']]),
      [['SIGUSR2 is ignored', reason]],
    )
  }
})

/** What nobody comes to use. */
function forbidden(log: Logger): Pick<UpgradeOptions, 'log' | 'manager' | 'stopping' | 'onReplaced'> {
  return {
    log,
    manager: new ServiceManager({}, log),
    stopping: new AbortController().signal,
    onReplaced: () => assert.fail('nobody took the place'),
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
