import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { Predecessor } from '#primary/upgrade/predecessor'
import { TakeOver } from '#primary/upgrade/take-over'

type Channel = ConstructorParameters<typeof Predecessor>[1]

/** The running process, which hears everything and answers what it is told to. */
function startChannel(answers: Readonly<Record<string, string>>): Channel {
  const channel = Object.assign(new EventEmitter(), {
    connected: true,
    send: ({ type }: { type: string }, _handle: unknown, _options: unknown, done: () => void) => {
      if (answers[type] !== undefined) setImmediate(() => channel.emit('message', { type: answers[type] }))
      done()
      return true
    },
  })
  return channel as unknown as Channel // these members alone are used
}

interface Setup {
  readonly takeOver: TakeOver
  readonly released: () => boolean
  readonly errors: string[]
}

function setUp(answers: Readonly<Record<string, string>>): Setup {
  let released = false
  const errors: string[] = []
  const predecessor = new Predecessor({ sockets: [], replay: null, stateFile: null }, startChannel(answers))
  const takeOver = new TakeOver(predecessor, {
    exchange: null,
    onReleased: async () => void (released = true),
    log: { error: (_fields: unknown, message: string) => void errors.push(message) } as never, // one of its forms
    limits: { prepareMs: 50, answerMs: 50 },
  })
  return { takeOver, released: () => released, errors }
}

test('a running process that does not answer ends the start of its successor', async () => {
  const { takeOver } = setUp({})
  await assert.rejects(takeOver.prepare(), { name: 'TimeoutError' })
})

test('one that does not let go any more is gone on without', async () => {
  const { takeOver, released, errors } = setUp({ standing: 'accept' })
  await takeOver.prepare()
  await takeOver.complete()
  assert.equal(released(), true)
  assert.deepEqual(errors, ['the process before does not let go, going on without it'])
})

test('one that answers is waited for', async () => {
  const { takeOver, released, errors } = setUp({ standing: 'accept', serving: 'released' })
  await takeOver.prepare()
  assert.equal(released(), false)
  await takeOver.complete()
  assert.equal(released(), true)
  assert.deepEqual(errors, [])
})
