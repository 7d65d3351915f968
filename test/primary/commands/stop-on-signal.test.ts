import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { stopOnSignal } from '#primary/commands/stop-on-signal'

interface World {
  /** What came of each signal. */
  readonly done: string[]
  readonly signal: (name: 'SIGTERM' | 'SIGINT', atMs: number) => void
  replace: () => void
  readonly takeAway: () => void
}

function start(): World {
  const done: string[] = []
  const process = new EventEmitter()
  let isReplaced = false
  let nowMs = 0
  // `stopOnSignal` uses nothing of a process but these.
  const signals = Object.assign(process, {
    exit: (code: number) => void done.push(`exit ${code}`),
  }) as unknown as NodeJS.Process
  const takeAway = stopOnSignal({
    log: { info: () => {} },
    replaced: () => (isReplaced ? { endDrain: () => void done.push('end drain') } : null),
    onStop: () => void done.push('stop'),
    signals,
    readMonotonicMs: () => nowMs,
  })
  return {
    done,
    signal: (name, atMs) => {
      nowMs = atMs
      process.emit(name, name)
    },
    replace: () => (isReplaced = true),
    takeAway,
  }
}

test('the first signal stops, its echo is none, the second one ends the process', () => {
  const { done, signal, takeAway } = start()
  signal('SIGINT', 1000)
  signal('SIGINT', 1001)
  signal('SIGTERM', 1499)
  assert.deepEqual(done, ['stop'])
  signal('SIGTERM', 1500)
  assert.deepEqual(done, ['stop', 'exit 0'])
  takeAway()
  signal('SIGTERM', 9000)
  assert.deepEqual(done, ['stop', 'exit 0'])
})

test('a process that is replaced ends its drain, and does not stop once more', () => {
  const { done, signal, replace } = start()
  replace()
  signal('SIGINT', 1000)
  signal('SIGINT', 1001)
  assert.deepEqual(done, ['end drain'])
  signal('SIGINT', 2000)
  assert.deepEqual(done, ['end drain', 'exit 0'])
})

test('the second signal ends a process that was replaced after the first', () => {
  const { done, signal, replace } = start()
  signal('SIGTERM', 1000)
  replace()
  signal('SIGTERM', 2000)
  assert.deepEqual(done, ['stop', 'exit 0'])
})
