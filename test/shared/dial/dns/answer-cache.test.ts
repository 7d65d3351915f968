import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerCache, type Found } from '#shared/dial/dns/answer-cache'
import { MAX_IN_FLIGHT, MAX_QUEUED } from '#shared/dial/dns/ask-limit'
import { DialError } from '#shared/errors'
import { fakeNow } from './support.ts'

const found = (ttlMs: number): Found => ({ addresses: ['192.0.2.7'], failure: null, ttlMs })
const missing = (ttlMs: number): Found => ({ addresses: [], failure: new Error('no such name'), ttlMs })

test('an answer is kept for five seconds at least and an hour at most, a missing name for a minute', async (t) => {
  const { pass } = fakeNow(t)
  for (const [answer, seconds] of [
    [found(0), 5],
    [found(20_000), 20],
    [found(0x7fff_ffff * 1000), 3600],
    [missing(0), 5],
    [missing(86_400_000), 60],
  ] as const) {
    const cache = new AnswerCache(() => {})
    await cache.find('a', async () => answer)
    await pass(seconds * 1000 - 100)
    assert.equal(cache.peek('a'), answer, `${answer.ttlMs} ms, before ${seconds} s`)
    await pass(200)
    assert.equal(cache.peek('a'), null, `${answer.ttlMs} ms, after ${seconds} s`)
  }
})

test('whoever finds the line full is refused, and nothing is remembered of it', async (t) => {
  const cache = new AnswerCache(() => {})
  const go = Promise.withResolvers<Found>()
  t.after(() => go.resolve(found(0)))
  const waiting = Array.from({ length: MAX_IN_FLIGHT + MAX_QUEUED }, (_, at) =>
    cache.find(`name ${at}`, () => go.promise),
  )
  const refused = await cache.find('late', async () => assert.fail('asked'))
  assert.ok(refused.failure instanceof DialError && refused.failure.code === 'limit')
  assert.equal(cache.peek('late'), null, 'that there was no room says nothing of the name')
  go.resolve(found(60_000))
  for (const each of await Promise.all(waiting)) assert.equal(each.failure, null)
  assert.equal((await cache.find('late', async () => found(60_000))).failure, null)
})
