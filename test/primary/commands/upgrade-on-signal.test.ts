import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { upgradeOnSignal } from '#primary/commands/upgrade-on-signal'
import { ServiceManager } from '#primary/service-manager'
import { createLogger } from '#shared/logger'
import { startWorld, waitUntil } from '../../end-to-end/world.ts'
import { connectFakeTls } from '../../support/faketls-client.ts'
import { makeDirectory } from '../../support/make-directory.ts'

// The test runner makes Node write a report for this signal.
process.report.reportOnSignal = false

for (const [what, says] of [
  ['says nothing', ''],
  ['stands and never serves', "process.send({ type: 'standing' })"],
] as const) {
  test(`a successor that ${what} is ended after its limit, and the next may try`, async (t) => {
    const { proxy, secret } = await startWorld(t)
    const destination = join(makeDirectory(t), 'log')
    const log = createLogger({ level: 'info', destination, pretty: false })
    const lines = (message: string): Record<string, unknown>[] =>
      readFileSync(destination, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line['message'] === message)
    t.after(
      upgradeOnSignal({
        starting: Promise.resolve(proxy.running),
        manager: new ServiceManager({}, log),
        log,
        stopping: new AbortController().signal,
        onReplaced: () => assert.fail('nobody took the place'),
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

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
