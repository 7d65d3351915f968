import assert from 'node:assert/strict'
import { test } from 'node:test'
import { announce, readMessage, takeInheritance, type Inheritance } from '#primary/upgrade/messages'
import { inheritCover } from '#primary/upgrade/replay-cover'
import { OperatorError } from '#shared/errors'

const INHERITANCE: Inheritance = {
  sockets: [{ use: 'clients', fd: 4, address: { host: '::', port: 443 } }],
  replay: { sinceMs: 1, lifeMs: 11_000 },
  stateFile: '/var/lib/mtg-multi/state.json',
}

test('what is announced is taken once', () => {
  const env = { PATH: '/bin', ...announce(INHERITANCE) }
  assert.deepEqual(takeInheritance(env), INHERITANCE)
  assert.deepEqual(env, { PATH: '/bin' })
  assert.equal(takeInheritance(env), null)
})

test('what another version, or nobody of ours, has announced ends the start', () => {
  const [[name, text]] = Object.entries(announce(INHERITANCE)) as [[string, string]] // one variable
  const others = [text.replace('"version":1', '"version":2'), '{"version":1}', '{}', 'yes', '', 'null', '7']
  for (const other of others) assert.throws(() => takeInheritance({ [name]: other }), OperatorError, other)
})

test('messages that are none are nothing, be they of a later version or garbage', () => {
  assert.deepEqual(readMessage({ type: 'serving', more: 1 }), { type: 'serving' })
  const entries = new Uint8Array(36)
  assert.deepEqual(readMessage({ type: 'hellos', entries }), { type: 'hellos', entries })
  for (const message of [
    null,
    undefined,
    7,
    'serving',
    {},
    { type: 'goodbye' },
    { type: 'hellos', entries: [1] },
  ])
    assert.equal(readMessage(message), null)
})

test('a handed replay set counts from its own beginning, unless its hellos were kept for too short a time', () => {
  const config = { tolerateTimeSkewnessMs: 5000 }
  const handed = { sinceMs: 1, lifeMs: 11_000 }
  assert.deepEqual(inheritCover(config, handed, 1000), { sinceMs: 1, lifeMs: 11_000 })
  assert.deepEqual(inheritCover(config, null, 1000), { sinceMs: 1000, lifeMs: 11_000 })
  const longer = { tolerateTimeSkewnessMs: 5001 }
  assert.deepEqual(inheritCover(longer, handed, 1000), { sinceMs: 1000, lifeMs: 11_002 })
})
