import assert from 'node:assert/strict'
import { test } from 'node:test'

import { BugError } from '#shared/errors'
import { ThreadLock } from '#shared/state/thread-lock'

import { TestThread } from './run-thread.ts'

const newLock = (): { buffer: SharedArrayBuffer; cells: Int32Array } => {
  const buffer = new SharedArrayBuffer(256)
  return { buffer, cells: new Int32Array(buffer) }
}

test('one thread at a time is inside', async () => {
  const { buffer, cells } = newLock()
  const threads = [0, 1, 2, 3].map(
    (thread) => new TestThread('./lock-thread.ts', { buffer, thread, turns: 50_000, keep: false }),
  )
  await Promise.all(threads.map((thread) => thread.message()))
  assert.equal(cells[32], 200_000)
  await Promise.all(threads.map((thread) => thread.exit()))
})

test('the lock of a dead thread is given back to those who wait for it', async () => {
  const { buffer, cells } = newLock()
  const dead = new TestThread('./lock-thread.ts', { buffer, thread: 0, turns: 1, keep: true })
  await dead.message()
  await dead.exit()
  const waiting = new TestThread('./lock-thread.ts', { buffer, thread: 1, turns: 5, keep: false })
  const done = waiting.message()
  const own = new ThreadLock(cells, 0, 2)
  assert.equal(own.releaseDeadThread(1), false)
  assert.equal(cells[32], 1)
  assert.equal(own.releaseDeadThread(0), true)
  await done
  assert.equal(cells[32], 6)
  await waiting.exit()
  assert.equal(own.releaseDeadThread(0), false)
})

test('a new thread takes over the lock that the one with its number died with', () => {
  const { cells } = newLock()
  new ThreadLock(cells, 0, 3).acquire()
  const successor = new ThreadLock(cells, 0, 3)
  successor.acquire()
  successor.release()
  const other = new ThreadLock(cells, 0, 4)
  other.acquire()
  assert.equal(other.releaseDeadThread(3), false)
})

test('a lock that is never given back ends the waiting with an error', (t) => {
  const { cells } = newLock()
  new ThreadLock(cells, 0, 7).acquire()
  let nowMs = 0
  t.mock.method(performance, 'now', () => (nowMs += 100))
  assert.throws(() => new ThreadLock(cells, 0, 1).acquire(), BugError)
})
