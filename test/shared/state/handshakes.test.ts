import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createHandshakesMemory, Handshakes, NO_SOURCE, type HandshakeLimits } from '#shared/state/handshakes'
import { TestThread } from './run-thread.ts'

const THREADS = 3

function create(threads = THREADS): Handshakes {
  return new Handshakes(createHandshakesMemory(threads))
}

/** Fails unless it is admitted. */
function admit(handshakes: Handshakes, thread: number, address: string, limits: HandshakeLimits): number {
  const admission = handshakes.admit(thread, address, limits)
  if (!admission.ok) assert.fail(`${address} is refused: ${admission.limit}`)
  return admission.source
}

test('one address gets its share and no more, whichever threads serve it', () => {
  const handshakes = create()
  const limits = { maxHandshakes: 10, maxHandshakesPerAddress: 2 }
  const first = admit(handshakes, 0, '192.0.2.1', limits)
  admit(handshakes, 2, '192.0.2.1', limits)
  assert.deepEqual(handshakes.admit(1, '192.0.2.1', limits), { ok: false, limit: 'address' })
  admit(handshakes, 1, '192.0.2.2', limits)
  assert.equal(handshakes.total, 3)
  handshakes.leave(0, first)
  admit(handshakes, 1, '192.0.2.1', limits)
  assert.equal(handshakes.total, 3)
})

test('a network of IPv6 is one source, its neighbour another', () => {
  const handshakes = create()
  const limits = { maxHandshakes: 0, maxHandshakesPerAddress: 1 }
  admit(handshakes, 0, '2001:db8::1', limits)
  assert.deepEqual(handshakes.admit(0, '2001:db8::ffff:1', limits), { ok: false, limit: 'address' })
  admit(handshakes, 0, '2001:db8:0:1::1', limits)
})

test('in all there are as many as allowed; with 0 any number, counted all the same', () => {
  const handshakes = create()
  const limits = { maxHandshakes: 2, maxHandshakesPerAddress: 0 }
  const sources = [0, 1].map((thread) => admit(handshakes, thread, '192.0.2.1', limits))
  assert.deepEqual(handshakes.admit(2, '192.0.2.9', limits), { ok: false, limit: 'total' })
  const none = { maxHandshakes: 0, maxHandshakesPerAddress: 0 }
  admit(handshakes, 2, '192.0.2.1', none)
  assert.equal(handshakes.total, 3)
  assert.deepEqual(handshakes.admit(2, '192.0.2.1', { ...none, maxHandshakesPerAddress: 3 }), {
    ok: false,
    limit: 'address',
  })
  sources.forEach((source, thread) => handshakes.leave(thread, source))
  assert.equal(handshakes.total, 1)
})

test('behind a balancer the source is counted when it is known', () => {
  const handshakes = create()
  const limits = { maxHandshakes: 0, maxHandshakesPerAddress: 1 }
  assert.deepEqual(handshakes.admit(0, null, limits), { ok: true, source: NO_SOURCE })
  const admission = handshakes.admitSource(0, '192.0.2.1', limits)
  assert.ok(admission.ok)
  handshakes.admit(1, null, limits)
  assert.deepEqual(handshakes.admitSource(1, '192.0.2.1', limits), { ok: false, limit: 'address' })
  handshakes.leave(1, NO_SOURCE)
  handshakes.leave(0, admission.source)
  assert.equal(handshakes.total, 0)
  admit(handshakes, 1, '192.0.2.1', limits)
})

test('a dead thread leaves nothing of its own, and everything of the others', () => {
  const handshakes = create()
  const limits = { maxHandshakes: 0, maxHandshakesPerAddress: 2 }
  admit(handshakes, 0, '192.0.2.1', limits)
  admit(handshakes, 1, '192.0.2.1', limits)
  handshakes.forgetThread(0)
  assert.equal(handshakes.total, 1)
  admit(handshakes, 0, '192.0.2.1', limits)
  assert.ok(!handshakes.admit(0, '192.0.2.1', limits).ok)
})

test('far more sources than can be told apart: nobody is refused for what another one did', () => {
  const handshakes = create(1)
  const limits = { maxHandshakes: 0, maxHandshakesPerAddress: 1 }
  const held: number[] = []
  for (let n = 0; n < 40_000; n++)
    held.push(admit(handshakes, 0, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, limits))
  assert.equal(handshakes.total, 40_000)
  const counted = held.filter((source) => source !== NO_SOURCE).length
  assert.ok(counted > 15_000, `${counted} of them are counted`)
  for (const source of held) handshakes.leave(0, source)
  assert.equal(handshakes.total, 0)
  admit(handshakes, 0, '192.0.2.1', limits)
  assert.ok(!handshakes.admit(0, '192.0.2.1', limits).ok)
})

test('any sequence of arrivals, departures and deaths is counted as a list would', () => {
  const arrival = fc.record({
    kind: fc.constant('arrive' as const),
    thread: fc.nat(THREADS - 1),
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2', '198.51.100.9'),
  })
  const departure = fc.record({ kind: fc.constant('leave' as const), nth: fc.nat(100) })
  const death = fc.record({ kind: fc.constant('die' as const), thread: fc.nat(THREADS - 1) })
  const steps = fc.array(
    fc.oneof({ weight: 6, arbitrary: arrival }, { weight: 4, arbitrary: departure }, death),
    { maxLength: 120 },
  )
  const source = (address: string): string => (address.includes(':') ? 'the network' : address)
  fc.assert(
    fc.property(steps, fc.nat(12), fc.nat(5), (list, maxHandshakes, maxHandshakesPerAddress) => {
      const handshakes = create()
      let held: { thread: number; address: string; source: number }[] = []
      for (const step of list) {
        if (step.kind === 'arrive') {
          const same = held.filter(({ address }) => source(address) === source(step.address)).length
          const isTotal = maxHandshakes > 0 && held.length >= maxHandshakes
          const isAddress = maxHandshakesPerAddress > 0 && same >= maxHandshakesPerAddress
          const admission = handshakes.admit(step.thread, step.address, {
            maxHandshakes,
            maxHandshakesPerAddress,
          })
          assert.equal(admission.ok, !isTotal && !isAddress)
          if (admission.ok) held.push({ ...step, source: admission.source })
          else assert.equal(admission.limit, isTotal ? 'total' : 'address')
        } else if (step.kind === 'leave') {
          const [gone] = held.splice(step.nth % Math.max(1, held.length), 1)
          if (gone !== undefined) handshakes.leave(gone.thread, gone.source)
        } else {
          handshakes.forgetThread(step.thread)
          held = held.filter(({ thread }) => thread !== step.thread)
        }
        assert.equal(handshakes.total, held.length)
      }
    }),
    { numRuns: 150 },
  )
})

test('who finds the last place taken between the look and the claim gets none, and leaves nothing behind', () => {
  for (const [limits, limit] of [
    [{ maxHandshakes: 2, maxHandshakesPerAddress: 0 }, 'total'],
    [{ maxHandshakes: 0, maxHandshakesPerAddress: 2 }, 'address'],
  ] as const) {
    const handshakes = create(2)
    const first = admit(handshakes, 0, '192.0.2.1', limits)
    let quick = NO_SOURCE
    const { add } = Atomics
    // The late thread's claim for the place that counts: in front of it the other thread takes one.
    let claims = limit === 'total' ? 1 : 2
    const raced = (cells: Int32Array, at: number, value: number): number => {
      claims -= 1
      if (claims === 0) {
        Object.assign(Atomics, { add })
        quick = admit(handshakes, 1, '192.0.2.1', limits)
      }
      return add(cells, at, value)
    }
    Object.assign(Atomics, { add: raced })
    try {
      assert.deepEqual(handshakes.admit(0, '192.0.2.1', limits), { ok: false, limit })
    } finally {
      Object.assign(Atomics, { add })
    }
    assert.equal(handshakes.total, 2)
    handshakes.leave(0, first)
    handshakes.leave(1, quick)
    assert.equal(handshakes.total, 0)
    for (let n = 0; n < 2; n++) admit(handshakes, 0, '192.0.2.1', limits)
  }
})

test(
  'threads that come and go at once never exceed a limit, and end at zero',
  { timeout: 60_000 },
  async () => {
    const threads = 2
    const memory = createHandshakesMemory(threads)
    const limits = { maxHandshakes: 6, maxHandshakesPerAddress: 3 }
    const seen = new SharedArrayBuffer(16)
    const running = Array.from(
      { length: threads },
      (_, thread) => new TestThread('handshakes-thread.ts', { memory, thread, limits, seen, turns: 30_000 }),
    )
    await Promise.all(running.map((thread) => thread.message()))
    await Promise.all(running.map((thread) => thread.exit()))
    const [, , tooMany, admitted] = new Int32Array(seen)
    assert.equal(tooMany, 0)
    assert.ok(admitted! > 10_000, `${admitted} were admitted`)
    const handshakes = new Handshakes(memory)
    assert.equal(handshakes.total, 0)
    for (const address of ['192.0.2.0', '192.0.2.1'])
      for (let n = 0; n < 3; n++) admit(handshakes, 0, address, limits)
  },
)
