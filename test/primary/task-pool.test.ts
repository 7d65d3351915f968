import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { TaskPool } from '#primary/task-pool'
import { startFaultyWay } from '../support/faulty-way.ts'
import { eventually } from '../support/process-state.ts'

const LIMIT = { timeout: 30_000 }

test('a task that does not end is ended, and the next one has a thread', LIMIT, async (t) => {
  const way = await startFaultyWay(t, 9)
  await way.setFault('hang')
  const pool = new TaskPool(1000)
  t.after(() => pool.close())
  const task = {
    url: `https://front.test:${way.port}/`,
    addresses: [{ host: '127.0.0.1', port: way.port }],
    route: null,
    timeoutMs: 60_000,
  }
  await assert.rejects(pool.run('visit-page', task), { name: 'AbortError' })
  await way.setFault('down')
  // The limit holds for its thread as well, which a busy machine may not load in time.
  const next = await eventually(
    'a task that is done',
    () => pool.run('visit-page', task).catch(() => null),
    (result) => result !== null,
  )
  assert.equal(next?.ok, false)
})

test(
  'without descriptors for its thread a job fails, nothing else does, and a later one is done',
  LIMIT,
  () => {
    const script = new URL('task-pool-shortage.ts', import.meta.url).pathname
    // None, enough to begin to start it, and enough to start it and not to load what it needs.
    const left = ['0', '2', '3', '5', '8']
    const { status, stdout, stderr } = spawnSync(
      'sh',
      ['-c', 'ulimit -n 128; exec "$@"', 'sh', process.execPath, script, ...left],
      { encoding: 'utf8' },
    )
    assert.equal(status, 0, stderr)
    const outcomes = JSON.parse(stdout) as string[]
    assert.equal(outcomes[0], 'failed, then done')
    for (const outcome of outcomes) assert.match(outcome, /, then done$/)
  },
)
