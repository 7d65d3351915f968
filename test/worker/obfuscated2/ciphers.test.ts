import assert from 'node:assert/strict'
import { Cipheriv, createCipheriv } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { BugError } from '#shared/errors'
import { chooseCiphers } from '#worker/obfuscated2/choose-ciphers'
import type { CtrKey } from '#worker/obfuscated2/ctr-stream'
import { loadEvp } from '#worker/obfuscated2/load-native-ciphers'
import { NativeCiphers, type Evp } from '#worker/obfuscated2/native-ciphers'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { testCiphers } from '#worker/obfuscated2/test-ciphers'
import { loadAllCiphers } from '../../support/ciphers.ts'
import { bytes } from '../../support/generators.ts'

const KEY: CtrKey = { key: Buffer.alloc(32, 1), iv: Buffer.alloc(16, 0xff) }
const KOFFI_MISSING = Object.assign(new Error("Cannot find package 'koffi'"), {
  code: 'ERR_MODULE_NOT_FOUND',
})

/** One call: so many bytes at `at` of a target with `room` behind them, in place or from elsewhere. */
const call = fc.record({
  length: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 20_000 })),
  at: fc.integer({ min: 0, max: 40 }),
  room: fc.integer({ min: 0, max: 40 }),
  isInPlace: fc.boolean(),
})

for (const ciphers of await loadAllCiphers()) {
  const { name } = ciphers

  test(`${name}: the known answers`, () => {
    testCiphers(ciphers)
  })

  test(`${name}: whatever calls one stream gets, it does what node:crypto does, and writes nowhere else`, () => {
    fc.assert(
      fc.property(bytes(32), bytes(16), fc.array(call, { maxLength: 12 }), (key, iv, calls) => {
        const reference = createCipheriv('aes-256-ctr', key, iv)
        const stream = ciphers.open({ key, iv })
        for (const { length, at, room, isInPlace } of calls) {
          const plain = Buffer.alloc(length, at)
          const target = Buffer.alloc(at + length + room, 0xa5)
          const written = target.subarray(at, at + length)
          if (isInPlace) plain.copy(written)
          stream.transform(isInPlace ? written : plain, target, at)
          assert.deepEqual(written, reference.update(Buffer.alloc(length, at)))
          assert.ok(target.subarray(0, at).every((byte) => byte === 0xa5))
          assert.ok(target.subarray(at + length).every((byte) => byte === 0xa5))
          assert.deepEqual(plain, Buffer.alloc(length, at), 'the input stays as it is')
        }
        stream.close()
      }),
    )
  })

  test(`${name}: what would not fit is a bug of ours, and not a byte is written`, () => {
    const memory = Buffer.alloc(300)
    const ends = fc.integer({ min: 0, max: 300 })
    const view = fc
      .tuple(ends, ends)
      .map(([one, other]) => memory.subarray(Math.min(one, other), Math.max(one, other)))
    const position = fc.oneof(
      fc.integer({ min: -5, max: 310 }),
      fc.constantFrom(Number.NaN, 0.5, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53),
    )
    const stream = ciphers.open(KEY)
    fc.assert(
      fc.property(view, view, position, (input, target, at) => {
        const from = input.byteOffset
        const to = target.byteOffset + at
        const isApart = to === from || to >= from + input.length || to + input.length <= from
        const fits = Number.isInteger(at) && at >= 0 && at + input.length <= target.length
        if (fits && (isApart || input.length === 0)) return stream.transform(input, target, at)
        const before = Buffer.from(memory)
        assert.throws(() => stream.transform(input, target, at), BugError)
        assert.deepEqual(memory, before)
      }),
      { numRuns: 3000 },
    )
    stream.close()
  })

  test(`${name}: a closed stream does nothing any more, and others go on`, () => {
    const [stream, other] = [ciphers.open(KEY), ciphers.open(KEY)]
    stream.close()
    stream.close()
    const data = Buffer.alloc(10)
    assert.throws(() => stream.transform(data, data, 0), BugError)
    assert.deepEqual(data, Buffer.alloc(10))
    other.transform(data, data, 0)
    assert.deepEqual(data, createCipheriv('aes-256-ctr', KEY.key, KEY.iv).update(Buffer.alloc(10)))
    other.close()
  })
}

test('what node:crypto returned is given back at once', () => {
  const stream = new NodeCiphers().open(KEY)
  const data = Buffer.alloc(1024 * 1024)
  stream.transform(data, data, 0)
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 50; i++) stream.transform(data, data, 0)
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * data.length)
})

test('node: should its output come from a pool one day, the others in there stay as they are', (t) => {
  const update = Reflect.get(Cipheriv.prototype, 'update') as (input: Buffer) => Buffer
  const pool = Buffer.alloc(200, 0xa5)
  t.mock.method(Cipheriv.prototype, 'update', function (this: Cipheriv, input: Buffer) {
    const output = pool.subarray(50, 50 + input.length)
    output.set(Reflect.apply(update, this, [input]))
    return output
  })
  const target = Buffer.alloc(100)
  new NodeCiphers().open(KEY).transform(Buffer.alloc(100), target, 0)
  assert.equal(pool.length, 200, 'it was not given back')
  assert.deepEqual(pool.subarray(50, 150), target)
})

/** OpenSSL as far as counting goes. */
class CountingEvp implements Evp {
  readonly live: Set<bigint>
  freed: number
  initAnswer: number
  updateAnswer: number
  #last: bigint

  constructor() {
    this.live = new Set()
    this.freed = 0
    this.initAnswer = 1
    this.updateAnswer = 1
    this.#last = 0n
  }

  newContext(): bigint {
    this.#last += 1n
    this.live.add(this.#last)
    return this.#last
  }

  freeContext(context: bigint): void {
    assert.ok(this.live.delete(context), 'a context is freed once')
    this.freed += 1
  }

  init(): number {
    return this.initAnswer
  }

  update(
    context: bigint,
    _target: Uint8Array,
    targetBytes: Int32Array,
    _input: Uint8Array,
    n: number,
  ): number {
    assert.ok(this.live.has(context), 'no context is used when it is freed')
    targetBytes[0] = n
    return this.updateAnswer
  }
}

test('each context is freed once, whoever closes first', () => {
  const evp = new CountingEvp()
  const ciphers = new NativeCiphers(evp)
  const streams = Array.from({ length: 10 }, () => ciphers.open(KEY))
  assert.equal(ciphers.openStreams, 10)
  for (const stream of streams.slice(0, 4)) stream.close()
  assert.equal(ciphers.openStreams, 6)
  ciphers.closeAll()
  for (const stream of streams) stream.close()
  ciphers.closeAll()
  assert.deepEqual([ciphers.openStreams, evp.live.size, evp.freed], [0, 0, 10])
})

test('a context that cannot be set up is freed, and one that fails says so', () => {
  const evp = new CountingEvp()
  const ciphers = new NativeCiphers(evp)
  evp.initAnswer = 0
  assert.throws(() => ciphers.open(KEY), /does not have AES-256-CTR/)
  assert.equal(evp.live.size, 0)
  evp.initAnswer = 1
  const data = Buffer.alloc(10)
  for (const answer of [0, -1]) {
    evp.updateAnswer = answer
    assert.throws(() => ciphers.open(KEY).transform(data, data, 0), BugError)
  }
  assert.throws(() => ciphers.open({ key: Buffer.alloc(31), iv: KEY.iv }), BugError)
  assert.throws(() => ciphers.open({ key: KEY.key, iv: Buffer.alloc(15) }), BugError)
  assert.equal(ciphers.openStreams, 2)
})

test('"node" does not even look for the library', async () => {
  const chosen = await chooseCiphers('node', () => assert.fail('it looked'))
  assert.deepEqual([chosen.ciphers.name, chosen.reason], ['node', null])
})

test('without the library it is node:crypto, and why is said', async () => {
  for (const choice of ['auto', 'native'] as const) {
    const chosen = await chooseCiphers(choice, () => Promise.reject(KOFFI_MISSING))
    assert.deepEqual(
      [chosen.ciphers.name, chosen.reason],
      ['node', 'the optional package koffi is not installed'],
    )
    const broken = await chooseCiphers(choice, () => Promise.reject(new Error('no symbol EVP_EncryptUpdate')))
    assert.deepEqual([broken.ciphers.name, broken.reason], ['node', 'no symbol EVP_EncryptUpdate'])
  }
})

/** What a library might do in place of what it should. */
const LIES: Readonly<Record<string, (evp: Evp) => Evp['update']>> = {
  'does nothing': () => (_context, _target, targetBytes, _input, bytes) => {
    targetBytes[0] = bytes
    return 1
  },
  'writes another byte': (evp) => (context, target, targetBytes, input, bytes) => {
    const answer = evp.update(context, target, targetBytes, input, bytes)
    if (bytes > 1000) target[1000]! ^= 1
    return answer
  },
  'writes a byte too many': (evp) => (context, target, targetBytes, input, bytes) => {
    const answer = evp.update(context, target, targetBytes, input, bytes)
    if (bytes === 70_001) target[bytes]! ^= 1
    return answer
  },
  'forgets where it was': (evp) => (context, target, targetBytes, input, bytes) => {
    evp.init(context, KEY.key, KEY.iv)
    return evp.update(context, target, targetBytes, input, bytes)
  },
  fails: () => () => 0,
}

test('a library that lies is found out, not used, and holds nothing', async () => {
  const evp = await loadEvp()
  for (const [lie, update] of Object.entries(LIES)) {
    const lying = new NativeCiphers({
      newContext: () => evp.newContext(),
      freeContext: (context) => evp.freeContext(context),
      init: (context, key, iv) => evp.init(context, key, iv),
      update: update(evp),
    })
    const chosen = await chooseCiphers('native', () => Promise.resolve(lying))
    assert.equal(chosen.ciphers.name, 'node', lie)
    assert.ok(chosen.reason, lie)
    assert.equal(lying.openStreams, 0, lie)
  }
  const chosen = await chooseCiphers('auto')
  assert.deepEqual([chosen.ciphers.name, chosen.reason], ['native', null])
})
