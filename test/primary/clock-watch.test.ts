import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch } from '#primary/clock-watch'

test('a clock that was set is told once, by how much; one that runs is not, however wrong it is', () => {
  let wallMs = 1_800_000_000_000
  let monotonicMs = 500
  const watch = new ClockWatch(
    () => wallMs,
    () => monotonicMs,
  )
  const pass = (ms: number, wallIsOffMs = 0): number => {
    monotonicMs += ms
    wallMs += ms + wallIsOffMs
    return watch.look()
  }
  assert.equal(pass(250), 0)
  assert.equal(pass(250, 3_600_000), 3_600_000)
  assert.equal(pass(250), 0)
  assert.equal(pass(60_000, -3_600_000), -3_600_000) // the primary may look late
  // ntpd slews by half a thousandth: 0.125 ms a look, 45 s a day, of which nobody is to hear
  for (let look = 0; look < 40_000; look++) assert.equal(pass(250, 0.125), 0)
  assert.equal(pass(250, -999), 0)
  assert.equal(pass(250, -1000), -1000)
})
