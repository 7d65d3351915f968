import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Logger } from 'pino'
import { readConfigFile } from '#primary/commands/read-config-file'
import { reloadOnSignal } from '#primary/commands/reload-on-signal'
import type { RunningProxy } from '#primary/proxy'
import { OperatorError } from '#shared/errors'
import { waitUntil } from '../../end-to-end/world.ts'
import { makeDirectory } from '../../support/make-directory.ts'

const FILE = `bind-to = "127.0.0.1:3128"\n[secrets]\nanna = "ee${'01'.repeat(16)}${Buffer.from('example.com').toString('hex')}"\n`

test('signals that come during a reload are one more reload, after it', async (t) => {
  const path = join(makeDirectory(t, { 'config.toml': FILE }), 'config.toml')
  const started = Promise.withResolvers<RunningProxy>()
  const told: string[] = []
  const reloads: PromiseWithResolvers<void>[] = []
  const proxy = {
    reload: () => {
      const reload = Promise.withResolvers<void>()
      reloads.push(reload)
      return reload.promise
    },
  }
  const served = { ...(await readConfigFile(path)), path }
  const lines: [object, string][] = []
  const write = (fields: object, message: string): void => void lines.push([fields, message])
  t.after(
    reloadOnSignal(started.promise, served, {
      log: { info: write, warn: write, error: write } as unknown as Logger,
      manager: { reloading: () => told.push('reloading'), reloaded: () => told.push('reloaded') },
    }),
  )
  const signal = (): void => void process.emit('SIGHUP', 'SIGHUP')
  for (let count = 0; count < 100; count++) signal()
  assert.deepEqual(told, [], 'the start is not over')
  started.resolve(proxy as unknown as RunningProxy)
  await waitUntil(() => reloads.length === 1, 'the signals of the start')
  for (let count = 0; count < 100; count++) signal()
  reloads[0]?.reject(new OperatorError('no such name server'))
  await waitUntil(() => reloads.length === 2, 'one more')
  reloads[1]?.reject(new TypeError('a mistake of ours'))
  await waitUntil(() => told.length === 4, 'both are over')
  signal()
  await waitUntil(() => reloads.length === 3, 'and the next signal is a reload again')
  reloads[2]?.resolve()
  await waitUntil(() => told.length === 6, 'it is over')
  assert.equal(reloads.length, 3)
  const failures = lines.filter(([, message]) => message.startsWith('configuration is not reloaded'))
  assert.deepEqual(failures[0]?.[0], { file: path, error: 'no such name server' })
  const [fields] = failures[1] ?? []
  assert.ok(fields !== undefined && 'error' in fields && fields.error instanceof TypeError, 'with its stack')
})
