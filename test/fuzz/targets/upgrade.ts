import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { deserialize, serialize } from 'node:v8'
import * as fc from 'fast-check'
import {
  announce,
  type Inheritance,
  readMessage,
  SOCKET_USES,
  takeInheritance,
} from '#primary/upgrade/messages'
import { Predecessor } from '#primary/upgrade/predecessor'
import { inheritCover } from '#primary/upgrade/replay-cover'
import { OperatorError } from '#shared/errors'
import { replayBytes } from '#shared/state/replay-layout'
import { type ReplayMemory, ReplaySet } from '#shared/state/replay-set'
import { addTransferred, ReplayReader, TRANSFER_ENTRY_BYTES } from '#shared/state/replay-transfer'
import { bytes } from '../../support/generators.ts'
import { type Target } from '../target.ts'

/** The first byte says which: what a successor finds in its environment, a message of either side, hellos in one. */
const KINDS = ['environment', 'message', 'hellos'] as const
const NOTHING: Inheritance = { sockets: [], replay: null, stateFile: null }
const [VARIABLE = ''] = Object.keys(announce(NOTHING))

/** Few, so that inputs fill it. */
const CAPACITY = 16
const RANDOM_BYTES = 32
const WINDOW_SECONDS = 11
const NOW_SECONDS = 1000

const inheritances = (): fc.Arbitrary<Inheritance> =>
  fc.record({
    sockets: fc.array(
      fc.record({
        use: fc.constantFrom(...SOCKET_USES),
        fd: fc.integer({ min: 4, max: 70 }),
        address: fc.record({ host: fc.constantFrom('::', '127.0.0.1', '/run/api'), port: fc.nat(65_535) }),
      }),
      { maxLength: 3 },
    ),
    replay: fc.option(fc.record({ sinceMs: fc.nat(), lifeMs: fc.nat(20_000) })),
    stateFile: fc.option(fc.constant('/var/lib/state.json')),
  })

const messages = (): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc
      .constantFrom('standing', 'accept', 'serving', 'released', 'settled', 'goodbye')
      .map((type) => ({ type })),
    bytes(0, 100).map((entries) => ({ type: 'hellos', entries: new Uint8Array(entries) })),
    fc.record({ type: fc.constantFrom('hellos', 7), entries: fc.anything() }),
    fc.anything(),
  )

const inputs = (): fc.Arbitrary<Buffer> =>
  fc.oneof(
    inheritances().map((inheritance) =>
      tag('environment', Buffer.from(String(announce(inheritance)[VARIABLE]))),
    ),
    messages().map((message) => tag('message', write(message))),
    fc
      .array(bytes(TRANSFER_ENTRY_BYTES), { maxLength: 40 })
      .map((entries) => tag('hellos', Buffer.concat(entries))),
    bytes(0, 200).map((hellos) => tag('hellos', hellos)),
  )

const tag = (kind: (typeof KINDS)[number], rest: Buffer): Buffer =>
  Buffer.concat([Buffer.of(KINDS.indexOf(kind)), rest])

/** As the channel does. Not everything that there is can be written. */
function write(message: unknown): Buffer {
  try {
    return serialize(message)
  } catch {
    return serialize(null)
  }
}

export const upgrade: Target = {
  name: 'upgrade',
  inputs: inputs(),
  dictionary: [
    '"version":1',
    '"sockets":[',
    '{"use":"clients","fd":4,"address":{"host":"::","port":443}}',
    '"replay":{"sinceMs":',
    '"stateFile":',
    '"__proto__":',
    'null',
    '1e999',
    serialize({ type: 'hellos' }),
  ],
  maxBytes: 4096,
  limitMs: 100,
  open: () => ({ run, close: () => {} }),
}

async function run(input: Buffer): Promise<void> {
  const rest = input.subarray(1)
  switch (KINDS[(input[0] ?? 0) % KINDS.length]) {
    case 'environment':
      return takeUp(rest.toString())
    case 'message':
      return hear(rest)
    case 'hellos':
    case undefined:
      return learn(rest)
  }
}

/** It is refused in one word to the operator, or is whole; and nobody else finds it. */
function takeUp(text: string): void {
  const env: NodeJS.ProcessEnv = { PATH: '/bin', [VARIABLE]: text }
  let inheritance: Inheritance | null
  try {
    inheritance = takeInheritance(env)
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error))
    return
  } finally {
    assert.deepEqual(env, { PATH: '/bin' })
  }
  assert.ok(inheritance !== null)
  assert.deepEqual(takeInheritance(announce(inheritance)), inheritance)
  for (const { use, fd, address } of inheritance.sockets) {
    assert.ok(SOCKET_USES.includes(use) && Number.isInteger(fd) && fd >= 0)
    assert.ok(typeof address.host === 'string' && Number.isInteger(address.port))
  }
  const cover = inheritCover({ tolerateTimeSkewnessMs: 5000 }, inheritance.replay, 1)
  assert.ok(Number.isFinite(cover.sinceMs) && Number.isFinite(cover.lifeMs))
}

/** A message is heard as what it says and as nothing else; both sides read by the same function. */
async function hear(rest: Buffer): Promise<void> {
  let message: unknown
  try {
    message = deserialize(rest)
  } catch {
    return // what Node itself cannot read never comes to us
  }
  const channel = Object.assign(new EventEmitter(), {
    connected: true,
    send: (_message: unknown, ...others: unknown[]) => {
      const done = others.at(-1) as () => void // the last argument, of all overloads
      done()
      return true
    },
  })
  // Those members alone are used.
  const predecessor = new Predecessor(NOTHING, channel as unknown as NodeJS.Process)
  const told: Uint8Array[] = []
  predecessor.onHellos = (entries) => void told.push(entries)
  channel.emit('message', message)
  const read = readMessage(message)
  assert.equal(told.length, read?.type === 'hellos' ? 1 : 0)
  if (read?.type === 'hellos') learn(Buffer.from(read.entries))
  else if (read !== null) await predecessor.ask({ type: 'standing' }, read.type, 1000)
}

/** Whole entries are known afterwards, the newest ones if they are too many; nothing else has changed. */
function learn(hellos: Buffer): void {
  const memory = smallMemory()
  const set = new ReplaySet(memory, 0)
  const own = Buffer.alloc(RANDOM_BYTES, 0xa5)
  set.testAndAdd(own, WINDOW_SECONDS, NOW_SECONDS)
  addTransferred(set, hellos, NOW_SECONDS)
  const randoms = new Set<string>()
  for (let at = 0; at + TRANSFER_ENTRY_BYTES <= hellos.length; at += TRANSFER_ENTRY_BYTES)
    randoms.add(hellos.toString('latin1', at, at + RANDOM_BYTES))
  randoms.add(own.toString('latin1'))
  assert.equal(set.size <= CAPACITY, true)
  const ratio = set.fillRatio(NOW_SECONDS)
  assert.ok(ratio >= 0 && ratio <= 1, String(ratio))
  if (randoms.size > CAPACITY) return
  assert.equal(set.size, randoms.size)
  // What goes on to the next process is the same.
  const next = new ReplaySet(smallMemory(), 1)
  addTransferred(next, new ReplayReader(memory, CAPACITY).read(CAPACITY) ?? assert.fail(), NOW_SECONDS)
  for (const random of randoms)
    for (const each of [set, next])
      assert.equal(each.testAndAdd(Buffer.from(random, 'latin1'), WINDOW_SECONDS, NOW_SECONDS), 'replay')
}

function smallMemory(): ReplayMemory {
  return { buffer: new SharedArrayBuffer(replayBytes(CAPACITY)), capacity: CAPACITY }
}
