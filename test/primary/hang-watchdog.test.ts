import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { HangWatchdog } from '#primary/hang-watchdog'
import { PULSE_TICK_MS } from '#primary/pulse'

/** A thread that does nothing from the first look on. */
class SilentThread {
  readonly name: string
  isServing: boolean
  #silentTicks = 0

  constructor(name: string, isServing: boolean) {
    this.name = name
    this.isServing = isServing
  }

  countSilence(): number {
    return (this.#silentTicks += 1)
  }

  begin(): void {
    this.#silentTicks = 0
  }
}

function watch(
  t: TestContext,
  threads: readonly SilentThread[],
  { limitMs, ends = true }: { limitMs?: number; ends?: boolean } = {},
): { told: string[]; watchdog: HangWatchdog<SilentThread> } {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const told: string[] = []
  const onHang = (thread: SilentThread, ms: number): void => {
    told.push(`${thread.name} ${ms}`)
    if (ends) thread.begin()
  }
  const watchdog = new HangWatchdog(threads, onHang, limitMs)
  watchdog.start()
  t.after(() => watchdog.stop())
  return { told, watchdog }
}

test('a thread that serves has its limit, one that loads three times as long', (t) => {
  const { told } = watch(t, [new SilentThread('serves', true), new SilentThread('loads', false)])
  t.mock.timers.tick(20_000 - PULSE_TICK_MS)
  assert.deepEqual(told, [])
  t.mock.timers.tick(PULSE_TICK_MS)
  assert.deepEqual(told, ['serves 20000'])
  t.mock.timers.tick(40_000)
  assert.deepEqual(told, ['serves 20000', 'serves 20000', 'serves 20000', 'loads 60000'])
})

test('the next thread in the place has all of the time', (t) => {
  const { told } = watch(t, [new SilentThread('one', true)], { limitMs: 1000 })
  t.mock.timers.tick(1000)
  t.mock.timers.tick(750)
  assert.deepEqual(told, ['one 1000'])
  t.mock.timers.tick(250)
  assert.deepEqual(told, ['one 1000', 'one 1000'])
})

test('a thread is told of until something is done', (t) => {
  const thread = new SilentThread('one', false)
  const { told } = watch(t, [thread], { limitMs: 1000, ends: false })
  t.mock.timers.tick(2000)
  thread.isServing = true // and hangs at once: its silence has been longer than the limit all the time
  t.mock.timers.tick(2 * PULSE_TICK_MS)
  assert.deepEqual(told, ['one 2250', 'one 2500'])
})

test('a limit between two looks is that of the later one', (t) => {
  const { told } = watch(t, [new SilentThread('one', true)], { limitMs: 900 })
  t.mock.timers.tick(750)
  assert.deepEqual(told, [])
  t.mock.timers.tick(250)
  assert.deepEqual(told, ['one 1000'])
})

test('after its stop nobody is watched', (t) => {
  const { told, watchdog } = watch(t, [new SilentThread('one', true)], { limitMs: 1000 })
  t.mock.timers.tick(500)
  watchdog.stop()
  t.mock.timers.tick(5000)
  assert.deepEqual(told, [])
})
