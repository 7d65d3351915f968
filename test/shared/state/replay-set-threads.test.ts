import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createReplayMemory, MIN_REPLAY_BYTES, ReplaySet } from '#shared/state/replay-set'

import { numberedRandom } from './numbered-random.ts'
import { TestThread } from './run-thread.ts'

const progress = (): SharedArrayBuffer => new SharedArrayBuffer(4)

test('of four threads that get the same hellos exactly one takes each for new', async () => {
  const memory = createReplayMemory(MIN_REPLAY_BYTES)
  const turns = 100_000
  const threads = [0, 1, 2, 3].map(
    (thread) =>
      new TestThread('./replay-thread.ts', { memory, thread, family: 1, turns, progress: progress() }),
  )
  const replays = (await Promise.all(threads.map((thread) => thread.message()))) as number[]
  assert.equal(
    replays.reduce((sum, count) => sum + count, 0),
    3 * turns,
  )
  assert.equal(new ReplaySet(memory, 4).size, turns)
  await Promise.all(threads.map((thread) => thread.exit()))
})

test('a replay on another thread is always found', async () => {
  const memory = createReplayMemory(MIN_REPLAY_BYTES)
  const turns = 50_000
  const run = (thread: number, family: number): TestThread =>
    new TestThread('./replay-thread.ts', { memory, thread, family, turns, progress: progress() })
  const firsts = [run(0, 1), run(1, 2)]
  assert.deepEqual(await Promise.all(firsts.map((thread) => thread.message())), [0, 0])
  const seconds = [run(2, 2), run(3, 1)]
  assert.deepEqual(await Promise.all(seconds.map((thread) => thread.message())), [turns, turns])
  await Promise.all([...firsts, ...seconds].map((thread) => thread.exit()))
})

test('threads that are killed in the middle of their work take nothing with them and stop nobody', async (t) => {
  const memory = createReplayMemory(64 * 1024 * 1024)
  const set = new ReplaySet(memory, 2)
  const survivorProgress = progress()
  const survivor = new TestThread('./replay-thread.ts', {
    memory,
    thread: 1,
    family: 1_000,
    turns: 40_000,
    progress: survivorProgress,
  })
  const survivorDone = survivor.message()
  const random = new Uint8Array(32)
  let diedInside = 0
  for (let round = 0; round < 25; round++) {
    const added = progress()
    const victim = new TestThread('./replay-thread.ts', {
      memory,
      thread: 0,
      family: round,
      turns: 50_000,
      progress: added,
    })
    const count = new Int32Array(added)
    while (Atomics.load(count, 0) < 500 + 31 * round) await new Promise(setImmediate)
    await victim.kill()
    if (set.releaseDeadThread(0)) diedInside++
    const known = Atomics.load(count, 0)
    for (let number = Math.max(0, known - 2_000); number < known; number++) {
      assert.equal(set.testAndAdd(numberedRandom(random, round, number), 1000, 0), 'replay')
    }
    // The one at which it died may be in the set or not; those after it cannot.
    for (let number = known + 1; number < known + 50; number++) {
      assert.equal(set.testAndAdd(numberedRandom(random, round, number), 1000, 0), 'new')
    }
  }
  t.diagnostic(`died holding the lock: ${diedInside} of 25`)
  assert.equal(await survivorDone, 0)
  for (let number = 0; number < 40_000; number++) {
    assert.equal(set.testAndAdd(numberedRandom(random, 1_000, number), 1000, 0), 'replay')
  }
  assert.equal(set.evictedEarly, 0)
  await survivor.exit()
})
