import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TaskPool } from '#primary/task-pool'
import { startFaultyWay } from '../support/faulty-way.ts'

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
  const next = await pool.run('visit-page', task)
  assert.equal(next.ok, false)
})
