import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import { LineStream } from '#shared/log-lines'

const SOME_DESCRIPTOR = 9999

/** A reader who takes as many bytes as he has room for, as a pipe has that says EAGAIN. */
interface Pipe {
  room: number
  readonly text: () => string
}

function replaceWrites(t: TestContext): Pipe {
  const taken: Buffer[] = []
  const pipe = { room: Infinity, text: () => Buffer.concat(taken).toString() }
  const write = (_fd: number, bytes: Buffer): number => {
    if (pipe.room === 0)
      throw Object.assign(new Error('EAGAIN: resource temporarily unavailable'), { code: 'EAGAIN' })
    const part = bytes.subarray(0, pipe.room)
    pipe.room -= part.length
    taken.push(Buffer.from(part))
    return part.length
  }
  const { mock } = t.mock.method(fs, 'writeSync', write)
  syncBuiltinESMExports()
  t.after(() => {
    mock.restore()
    syncBuiltinESMExports()
  })
  return pipe
}

const LOSS =
  /^\{"level":"warn","timestamp":\d+,"logger":"","lines":(\d+),"message":"lines of the log were lost/

test('what is written is whole lines in their order, and what is missing is told', (t) => {
  const steps = fc.array(
    fc.record({ lines: fc.integer({ min: 0, max: 400 }), room: fc.integer({ min: 0, max: 60_000 }) }),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(steps, (given) => {
      const pipe = replaceWrites(t)
      const stream = new LineStream(SOME_DESCRIPTOR)
      let written = 0
      for (const { lines, room } of given) {
        pipe.room = room
        for (let n = 0; n < lines; n++) stream.write(`${written++} ${'x'.repeat(200)}\n`)
      }
      pipe.room = Infinity
      stream.write(`${written++} the last\n`)
      const shown = pipe.text().split('\n').slice(0, -1)
      let next = 0
      let lost = 0
      for (const line of shown) {
        const loss = LOSS.exec(line)
        if (loss !== null) lost += Number(loss[1])
        else {
          const number = Number(/^(\d+) (?:x{200}|the last)$/.exec(line)?.[1])
          assert.ok(number >= next, line)
          next = number + 1
        }
      }
      const losses = shown.filter((line) => LOSS.test(line)).length
      assert.equal(shown.length - losses + lost, written)
    }),
    { numRuns: 50 },
  )
})

test('what is kept is written after a while without another line', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const pipe = replaceWrites(t)
  const stream = new LineStream(SOME_DESCRIPTOR)
  pipe.room = 3
  stream.write('first\n')
  stream.write('second\n')
  t.mock.timers.tick(1000)
  assert.equal(pipe.text(), 'fir')
  pipe.room = Infinity
  t.mock.timers.tick(1000)
  assert.equal(pipe.text(), 'first\nsecond\n')
})

test('a log that takes nothing for ever costs no more memory than its limit', (t) => {
  const pipe = replaceWrites(t)
  pipe.room = 0
  const stream = new LineStream(SOME_DESCRIPTOR)
  for (let n = 0; n < 10_000; n++) stream.write(`${'x'.repeat(200)}\n`)
  pipe.room = Infinity
  stream.write('at last\n')
  assert.ok(pipe.text().length <= 64 * 1024 + 200)
})

test('tries that find the log stuck leave nothing behind', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const pipe = replaceWrites(t)
  pipe.room = 0
  const stream = new LineStream(SOME_DESCRIPTOR)
  stream.write('first\n')
  for (let seconds = 0; seconds < 100; seconds++) t.mock.timers.tick(1000)
  const written = t.mock.method(fs, 'writeSync', (_fd: number, bytes: Buffer) => bytes.length).mock
  syncBuiltinESMExports()
  t.mock.timers.tick(1000)
  assert.equal(written.callCount(), 1, 'one line was kept')
})
