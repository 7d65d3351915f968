import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import {
  MAX_WAITING_MS,
  MAX_WAITING_MS_PER_SOURCE,
  SearchQueue,
  type QueuedSearch,
} from '#worker/fake-tls/search-queue'

const nextRound = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve))

/** Fails when there is no room. */
function join(queue: SearchQueue, source: string, workMs: number): QueuedSearch {
  return queue.join(source, workMs) ?? assert.fail(`no room for ${workMs} ms of ${source}`)
}

test('one slice per round of the event loop, however many searches there are', async () => {
  const queue = new SearchQueue()
  const order: string[] = []
  let rounds = 0
  let counting = true
  const count = (): void => {
    rounds += 1
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  const work = async (name: string): Promise<void> => {
    const search = join(queue, name, 3)
    for (let slice = 0; slice < 3; slice++) {
      await search.turn()
      order.push(name)
    }
    search.leave()
  }
  await Promise.all([work('a'), work('b'), work('c')])
  counting = false
  assert.deepEqual(order, ['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c'])
  assert.ok(rounds >= order.length - 1, `${rounds} rounds for ${order.length} slices`)
  assert.equal(queue.waitingMs, 0)
})

test('a client waits for one search of each other source, not for a whole flood', async () => {
  const queue = new SearchQueue()
  const finished: string[] = []
  const work = async (name: string, source: string): Promise<void> => {
    const search = join(queue, source, 2)
    for (let slice = 0; slice < 2; slice++) await search.turn()
    search.leave()
    finished.push(name)
  }
  const flood = Array.from({ length: 50 }, (_, n) => work(`flood ${n}`, 'one address'))
  await Promise.all([...flood, work('client', 'another address')])
  assert.deepEqual(finished.slice(0, 3), ['flood 0', 'client', 'flood 1'])
  assert.equal(finished.at(-1), 'flood 49')
})

test('a long search lets messages through between its slices', { timeout: 5000 }, async () => {
  const search = join(new SearchQueue(), 'a', 1)
  const { port1, port2 } = new MessageChannel()
  const answers: unknown[] = []
  port2.on('message', (message) => {
    if (answers.push(message) < 3) port1.postMessage('more')
  })
  port1.postMessage('first')
  while (answers.length < 3) await search.turn()
  port1.close()
  search.leave()
  assert.deepEqual(answers, ['first', 'more', 'more'])
})

test('the slice of a round is free once, and never while somebody waits', async () => {
  const queue = new SearchQueue()
  assert.ok(queue.takeFreeSlice())
  assert.ok(!queue.takeFreeSlice())
  await nextRound()
  assert.ok(queue.takeFreeSlice(), 'in another round')
  await nextRound()
  const search = join(queue, 'a', 1)
  assert.ok(!queue.takeFreeSlice())
  await search.turn()
  search.leave()
  await nextRound()
  assert.ok(queue.takeFreeSlice())
})

test('what waits has a limit, and no source takes all of it', () => {
  const queue = new SearchQueue()
  const workMs = 6.5
  const joined: QueuedSearch[] = []
  const tryJoin = (source: string): boolean => {
    const search = queue.join(source, workMs)
    if (search !== null) joined.push(search)
    return search !== null
  }
  while (tryJoin('flood'));
  assert.equal(joined.length, Math.floor(MAX_WAITING_MS / 2 / workMs), 'alone it gets half')
  for (let n = 0; n < Math.floor(MAX_WAITING_MS_PER_SOURCE / workMs); n++) assert.ok(tryJoin('other'))
  assert.ok(!tryJoin('other'))
  while (tryJoin(`stranger ${joined.length}`));
  assert.ok(queue.waitingMs <= MAX_WAITING_MS)
  assert.ok(queue.waitingMs > MAX_WAITING_MS - workMs)
  for (const search of joined) search.leave()
  assert.equal(queue.waitingMs, 0)
})

test('work that is done makes room, though the queue is never empty', () => {
  const queue = new SearchQueue()
  let waiting = join(queue, 'a', 10)
  for (let n = 0; n < 1000; n++) {
    const next = join(queue, n % 2 === 0 ? 'b' : 'a', 10)
    waiting.leave()
    waiting = next
  }
  const { waitingMs } = queue
  waiting.leave()
  assert.ok(Math.abs(waitingMs - 10) < 0.001, `${waitingMs} ms are waiting`)
})

test('an empty queue takes a search of any length, and gives its room back', async () => {
  const queue = new SearchQueue()
  const long = join(queue, 'a', 10 * MAX_WAITING_MS)
  assert.equal(queue.join('b', 1), null)
  long.leave()
  long.leave()
  assert.equal(queue.waitingMs, 0)
  const next = join(queue, 'b', 1)
  await next.turn()
  next.leave()
  assert.equal(queue.waitingMs, 0)
})
