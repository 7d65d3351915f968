import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { Turns } from '#worker/turns'

test('those who wait take turns, one slice per round of the event loop, first come first served', async () => {
  const turns = new Turns()
  const order: string[] = []
  let rounds = 0
  let counting = true
  const count = (): void => {
    rounds += 1
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  const work = async (name: string): Promise<void> => {
    for (let slice = 0; slice < 3; slice++) {
      await turns.next()
      order.push(name)
    }
  }
  await Promise.all([work('a'), work('b'), work('c')])
  counting = false
  assert.deepEqual(order, ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c'])
  assert.ok(rounds >= order.length - 1, `${rounds} rounds for ${order.length} slices`)
})

test('a long computation lets messages through between its slices', { timeout: 5000 }, async () => {
  const turns = new Turns()
  const { port1, port2 } = new MessageChannel()
  const answers: unknown[] = []
  port2.on('message', (message) => {
    if (answers.push(message) < 3) port1.postMessage('more')
  })
  port1.postMessage('first')
  while (answers.length < 3) await turns.next()
  port1.close()
  assert.deepEqual(answers, ['first', 'more', 'more'])
})

test('a queue that ran empty starts again', async () => {
  const turns = new Turns()
  await turns.next()
  await new Promise(setImmediate)
  await turns.next()
  await Promise.all([turns.next(), turns.next()])
})
