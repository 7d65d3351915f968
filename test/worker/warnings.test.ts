import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Logger } from 'pino'
import { Clock } from '#worker/clock'
import { Warnings } from '#worker/warnings'

function collect(): { clock: Clock; warnings: Warnings; lines: [Record<string, unknown>, string][] } {
  const lines: [Record<string, unknown>, string][] = []
  const clock = new Clock()
  // Warnings calls nothing of a logger but `warn` with fields and a message.
  const log = { warn: (fields: Record<string, unknown>, message: string) => lines.push([fields, message]) }
  return { clock, warnings: new Warnings(log as unknown as Logger, clock), lines }
}

test('a flood of one warning is one line a second, and the next line tells how many were left out', () => {
  const { clock, warnings, lines } = collect()
  for (let i = 0; i < 1000; i++) warnings.warn('replay', { i })
  assert.deepEqual(lines, [[{ i: 0 }, 'replay']])
  clock.monotonicMs += 999
  warnings.warn('replay', { i: 1000 })
  assert.equal(lines.length, 1)
  clock.monotonicMs += 1
  warnings.warn('replay', { i: 1001 })
  assert.deepEqual(lines[1], [{ i: 1001, suppressed: 1000 }, 'replay'])
  clock.monotonicMs += 1000
  warnings.warn('replay', { i: 1002 })
  assert.deepEqual(lines[2], [{ i: 1002 }, 'replay'], 'what was told once is not told again')
})

test('one kind of warning does not silence another', () => {
  const { warnings, lines } = collect()
  warnings.warn('replay', {})
  warnings.warn('dial', {})
  assert.deepEqual(
    lines.map(([, message]) => message),
    ['replay', 'dial'],
  )
})

test('the clock stands still between ticks', async (t) => {
  const clock = new Clock()
  const { unixMs, monotonicMs } = clock
  const later = unixMs + 5_000
  t.mock.method(Date, 'now', () => later)
  assert.equal(clock.unixMs, unixMs)
  clock.tick()
  assert.equal(clock.unixMs, later)
  assert.ok(clock.monotonicMs >= monotonicMs)
  assert.ok(Number.isInteger(clock.monotonicMs))
})
