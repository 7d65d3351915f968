import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JOBS_PER_ROUND, Rounds } from '#worker/rounds'

const nextRound = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve))

test('a few are done at once, a burst in order and so many a round', async () => {
  const rounds = new Rounds()
  const done: number[] = []
  const count = 3 * JOBS_PER_ROUND
  for (let job = 0; job < count; job++) rounds.run(() => done.push(job))
  assert.equal(done.length, JOBS_PER_ROUND)
  for (const expected of [2 * JOBS_PER_ROUND, 3 * JOBS_PER_ROUND, 3 * JOBS_PER_ROUND]) {
    await nextRound()
    assert.equal(done.length, expected)
  }
  assert.deepEqual(
    done,
    Array.from({ length: count }, (_, job) => job),
  )
  for (let job = 0; job < JOBS_PER_ROUND; job++) rounds.run(() => done.push(job))
  assert.equal(done.length, count + JOBS_PER_ROUND, 'a new round takes as many')
})

test('what comes while others wait waits behind them, and a job may bring another one', async () => {
  const rounds = new Rounds()
  const done: string[] = []
  for (let job = 0; job <= JOBS_PER_ROUND; job++)
    rounds.run(() => {
      if (job === JOBS_PER_ROUND) rounds.run(() => done.push('of a job'))
      done.push('of the burst')
    })
  await rounds.turn().then(() => done.push('later'))
  assert.equal(done.length, JOBS_PER_ROUND + 3)
  assert.ok(done.indexOf('later') > done.lastIndexOf('of the burst'))
})

test('a flush leaves nobody waiting', () => {
  const rounds = new Rounds()
  let done = 0
  for (let job = 0; job < 100; job++) rounds.run(() => (done += 1))
  rounds.flush()
  assert.equal(done, 100)
})
