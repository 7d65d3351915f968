import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { DoppelgangerConfig } from '#shared/config'
import { UNLEARNT_PROFILE, type DelayModel } from '#shared/traffic-profile'
import { Clock } from '#worker/clock'
import { drawDelay } from '#worker/doppelganger/delays'
import { BURST_BYTES, createPacer, HIGH_WATER_BYTES, type Pacer } from '#worker/doppelganger/pacer'
import { framedBytes, frameRecords } from '#worker/fake-tls/record'
import type { ByteSocket } from '#worker/socket/byte-socket'
import { seededRandom } from '../../support/seeded-random.ts'
import { CountedSlots, patternBytes } from '../../support/socket-pair.ts'
import { ManualTimer } from './manual-timer.ts'

type Settings = Partial<Pick<DoppelgangerConfig, 'pacing' | 'drs'>>

/** A law without chance: with k so large every draw is λ, here a little less than `ms`, which is what the grid makes of it. */
const always = (ms: number): DelayModel => ({ k: 1e6, lambdaMs: ms - 0.001 })

/** What a pacer sees of a client's socket, and what it wrote there. */
class FakeClient {
  readonly #slots: CountedSlots
  /** Payload length of each record, with the time it left. */
  readonly records: { bytes: number; atMs: number }[] = []
  readonly payload: Buffer[] = []
  writes = 0
  /** The most memory that a write took for each of its bytes, small ones aside. */
  slotsPerByte = 0
  /** What the next writes return. */
  takesMore = true
  drainsTold = 0
  hasEnded = false
  readonly #timer: ManualTimer

  constructor(slots: CountedSlots, timer: ManualTimer) {
    this.#slots = slots
    this.#timer = timer
  }

  writeSlot(slot: Buffer, length: number, payloadBytes: number): boolean {
    assert.equal(this.hasEnded, false, 'written behind the FIN')
    this.writes += 1
    let counted = 0
    for (let at = 0; at < length;) {
      assert.equal(slot.toString('hex', at, at + 3), '170303')
      const bytes = slot.readUInt16BE(at + 3)
      this.records.push({ bytes, atMs: this.#timer.timeMs })
      this.payload.push(Buffer.from(slot.subarray(at + 5, at + 5 + bytes)))
      at += 5 + bytes
      counted += bytes
      assert.ok(at <= length)
    }
    assert.ok(length > 0)
    assert.equal(counted, payloadBytes)
    if (length > 272) this.slotsPerByte = Math.max(this.slotsPerByte, slot.length / length)
    this.#slots.giveBack(slot)
    return this.takesMore
  }

  end(): void {
    this.hasEnded = true
  }

  tellDrained(): void {
    this.drainsTold += 1
  }

  holdBy(): void {}
}

interface Bench {
  pacer: Pacer
  client: FakeClient
  timer: ManualTimer
  slots: CountedSlots
  /** As the relay's hot path does. */
  send: (bytes: Buffer) => boolean
  /** Time passes for the idle clock as well. */
  wait: (ms: number) => void
}

function openBench(
  settings: Settings,
  delays: DelayModel = UNLEARNT_PROFILE.delays,
  random = seededRandom(1),
): Bench {
  const timer = new ManualTimer()
  const slots = new CountedSlots()
  const client = new FakeClient(slots, timer)
  const clock = new Clock()
  clock.monotonicMs = timer.timeMs
  const pacer = createPacer(client as unknown as ByteSocket, {
    config: { pacing: 'full', drs: false, ...settings },
    delays,
    timer,
    clock,
    slots,
    random,
  })
  assert.ok(pacer !== null)
  const send = (bytes: Buffer): boolean => {
    if (!pacer.isFree()) return pacer.push(bytes)
    const slot = slots.take(framedBytes(bytes.length))
    return client.writeSlot(slot, frameRecords(slot, bytes), bytes.length)
  }
  const wait = (ms: number): void => {
    for (let i = 0; i < ms; i++) {
      timer.step()
      clock.monotonicMs = timer.timeMs
    }
  }
  return { pacer, client, timer, slots, send, wait }
}

const sizes = ({ client }: Bench): number[] => client.records.map(({ bytes }) => bytes)
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

test('"full" sends 2.42 MB/s in the mean, on a grid of 1 ms', () => {
  const bench = openBench({ pacing: 'full' })
  const chunk = patternBytes(256 * 1024)
  const begunMs = bench.timer.timeMs
  while (bench.client.records.length < 40_000) {
    if (bench.pacer.heldBytes < chunk.length) bench.send(chunk)
    bench.timer.step()
  }
  const mbPerSecond = sum(sizes(bench)) / (bench.timer.timeMs - begunMs) / 1000
  assert.ok(Math.abs(mbPerSecond / 2.42 - 1) < 0.06, `${mbPerSecond} MB/s`)
  assert.ok(sizes(bench).every((bytes) => bytes === 16_401))
})

test('every record leaves on the first step of the grid behind its deadline; late ones are made up for', () => {
  const seed = 4
  const bench = openBench({ pacing: 'full' }, UNLEARNT_PROFILE.delays, seededRandom(seed))
  const random = seededRandom(seed)
  let deadlineMs = bench.timer.timeMs
  const due = Array.from({ length: 8 }, () => (deadlineMs += drawDelay(UNLEARNT_PROFILE.delays, random)))
  bench.send(patternBytes(8 * 16_401))
  while (bench.pacer.heldBytes > 0) bench.timer.step()
  assert.deepEqual(
    bench.client.records.map(({ atMs }) => atMs),
    due.map((ms) => Math.ceil(ms)),
  )

  const late = openBench({ pacing: 'full' }, always(10))
  late.send(patternBytes(10 * 16_401))
  late.timer.skip(100)
  late.timer.step()
  assert.equal(late.client.records.length, 10, 'ten deadlines of 10 ms have passed')
  assert.ok(late.client.writes <= 3, 'what is due leaves together')
})

test('an empty queue earns nothing', () => {
  const bench = openBench({ pacing: 'full' }, always(5))
  bench.send(Buffer.alloc(100))
  bench.wait(100)
  bench.send(Buffer.alloc(3 * 16_401))
  const sentMs = bench.timer.timeMs
  bench.wait(100)
  const after = bench.client.records.slice(1).map(({ atMs }) => atMs - sentMs)
  assert.deepEqual(after, [5, 10, 15])
})

test('a client that does not read earns nothing, and nothing is sent to it meanwhile', () => {
  const bench = openBench({ pacing: 'full' }, always(5))
  bench.client.takesMore = false
  bench.send(Buffer.alloc(4 * 16_401))
  bench.wait(500)
  assert.equal(bench.client.records.length, 1)
  assert.equal(bench.timer.isRunning, false, 'no timer for a client that does not read')
  bench.client.takesMore = true
  bench.pacer.drained()
  const drainedMs = bench.timer.timeMs
  bench.wait(100)
  const after = bench.client.records.slice(1).map(({ atMs }) => atMs - drainedMs)
  assert.ok(after[0]! >= 1 && after[1]! - after[0]! >= 4 && after[2]! - after[1]! >= 4, after.join())
  assert.equal(bench.client.records.length, 4)
})

test('the source is stopped at the high-water mark and goes on below the low one', () => {
  const bench = openBench({ pacing: 'full' }, always(2))
  assert.equal(bench.send(Buffer.alloc(HIGH_WATER_BYTES - 1)), true)
  assert.equal(bench.send(Buffer.alloc(1)), false)
  bench.wait(2)
  assert.equal(bench.client.drainsTold, 0, '48 KiB are still waiting')
  bench.wait(4)
  assert.ok(bench.pacer.heldBytes < HIGH_WATER_BYTES / 2)
  assert.equal(bench.client.drainsTold, 1)
})

test('the drain of a socket whose queue is full is not passed on before there is room', () => {
  const bench = openBench({ pacing: 'full' }, always(2))
  bench.send(Buffer.alloc(2 * HIGH_WATER_BYTES))
  bench.client.takesMore = false
  bench.wait(2)
  bench.pacer.drained()
  assert.equal(bench.client.drainsTold, 0)
  bench.client.takesMore = true
  bench.wait(100)
  assert.equal(bench.client.drainsTold, 1)
})

test('"burst" paces 128 KiB, sends what waited behind them at once, and is free until the next pause', () => {
  const bench = openBench({ pacing: 'burst' }, always(10))
  const message = patternBytes(200_000)
  bench.send(message)
  bench.wait(79)
  assert.equal(bench.client.records.length, 7)
  bench.wait(1)
  assert.ok(sum(sizes(bench).slice(0, 8)) >= BURST_BYTES)
  assert.equal(sum(sizes(bench)), 200_000, 'the eighth record passes 128 KiB, and the rest goes along')
  assert.equal(bench.timer.isRunning, false)
  assert.ok(Buffer.concat(bench.client.payload).equals(message))

  assert.ok(bench.pacer.isFree())
  bench.wait(999)
  assert.ok(bench.pacer.isFree(), 'less than a second is no pause')
  bench.wait(1250)
  assert.equal(bench.pacer.isFree(), false)
  const before = bench.client.records.length
  bench.send(Buffer.alloc(20_000))
  assert.equal(bench.client.records.length, before, 'it waits for its time')
  bench.wait(20)
  assert.equal(bench.client.records.length, before + 2)
  bench.send(Buffer.alloc(90_000))
  bench.wait(10)
  assert.equal(bench.pacer.isFree(), false, 'the second burst is as long as the first')
  assert.ok(bench.pacer.heldBytes > 50_000)
  bench.wait(40)
  bench.send(Buffer.alloc(40_000))
  bench.wait(20)
  assert.ok(bench.pacer.isFree())
})

test('a pause ends when the queue of the socket is empty, not when it was filled', () => {
  const bench = openBench({ pacing: 'burst' }, always(1))
  bench.client.takesMore = false
  bench.send(patternBytes(BURST_BYTES * 2))
  while (bench.pacer.heldBytes > 0) {
    bench.wait(5000)
    bench.pacer.drained()
  }
  assert.ok(bench.pacer.isFree(), 'five seconds went by, but the client was still being sent to')
})

test('with DRS the first record behind a pause is a small one', () => {
  for (const pacing of ['full', 'burst', 'off'] as const) {
    const bench = openBench({ pacing, drs: true }, always(1))
    bench.send(Buffer.alloc(200_000))
    bench.wait(200)
    const first = sizes(bench)
    assert.equal(sum(first), 200_000)
    assert.ok(
      first.slice(0, 40).every((bytes) => bytes <= 1450),
      pacing,
    )
    assert.ok(
      first.slice(40, 60).every((bytes) => bytes > 3900 && bytes <= 4096),
      pacing,
    )
    assert.equal(first[60], 16_401, pacing)
    bench.wait(1250)
    bench.send(Buffer.alloc(5000))
    bench.wait(10)
    assert.ok(sizes(bench).slice(first.length)[0]! <= 1450, pacing)
  }
})

test('a record that leaves alone takes no slot for all that waits behind it', () => {
  for (const drs of [true, false]) {
    const bench = openBench({ pacing: 'full', drs }, always(2))
    for (let sent = 0; sent < 10; sent++) {
      bench.send(patternBytes(HIGH_WATER_BYTES))
      bench.wait(100)
    }
    assert.ok(sizes(bench).length > 20)
    assert.ok(bench.client.slotsPerByte <= 4.2, `${bench.client.slotsPerByte} bytes of memory for one`)
  }
})

test('"off" with DRS waits for nothing, and lets go after 60 records', () => {
  const bench = openBench({ pacing: 'off', drs: true })
  bench.send(Buffer.alloc(30_000))
  assert.equal(sum(sizes(bench)), 30_000)
  assert.equal(bench.pacer.isFree(), false)
  bench.send(Buffer.alloc(120_000))
  assert.equal(bench.pacer.isFree(), true)
  assert.equal(bench.timer.isRunning, false)
})

test('"off" without DRS has no pacer', () => {
  const timer = new ManualTimer()
  const slots = new CountedSlots()
  const options = {
    config: { pacing: 'off', drs: false },
    delays: UNLEARNT_PROFILE.delays,
    timer,
    clock: new Clock(),
    slots,
    random: Math.random,
  } as const
  assert.equal(createPacer(new FakeClient(slots, timer) as unknown as ByteSocket, options), null)
})

test('the FIN waits for the queue', () => {
  const bench = openBench({ pacing: 'full' }, always(10))
  bench.send(Buffer.alloc(20_000))
  bench.pacer.endWhenEmpty()
  bench.wait(10)
  assert.equal(bench.client.hasEnded, false)
  bench.wait(10)
  assert.equal(bench.client.hasEnded, true)
  assert.equal(sum(sizes(bench)), 20_000)
})

test('what is discarded is told once, and takes its slots and its timer along', () => {
  const bench = openBench({ pacing: 'full' }, always(10))
  bench.send(Buffer.alloc(100_000))
  bench.wait(10)
  assert.equal(bench.pacer.discard(), 100_000 - 16_401)
  assert.equal(bench.pacer.discard(), 0)
  assert.deepEqual([bench.slots.outstanding, bench.timer.isRunning], [0, false])
  bench.wait(100)
  assert.equal(bench.client.records.length, 1)
})

test('any chunks at any times in any mode: the bytes in their order, in records as decision W6 wants them', () => {
  const input = fc.record({
    pacing: fc.constantFrom('burst', 'full', 'off' as const),
    drs: fc.boolean(),
    seed: fc.nat(),
    steps: fc.array(
      fc.record({
        bytes: fc.oneof(
          fc.integer({ min: 1, max: 40 }),
          fc.integer({ min: 16_380, max: 16_430 }),
          fc.nat(120_000),
        ),
        waitMs: fc.oneof(fc.nat(20), fc.constant(1300)),
        takesMore: fc.boolean(),
      }),
      { minLength: 1, maxLength: 12 },
    ),
  })
  fc.assert(
    fc.property(input, ({ pacing, drs, seed, steps }) => {
      if (pacing === 'off' && !drs) return
      const bench = openBench({ pacing, drs }, { k: 0.5, lambdaMs: 2 }, seededRandom(seed))
      const sent: Buffer[] = []
      for (const [index, { bytes, waitMs, takesMore }] of steps.entries()) {
        // A relay sends nothing while it was told to wait.
        bench.client.takesMore = true
        bench.pacer.drained()
        while (bench.pacer.heldBytes >= HIGH_WATER_BYTES) bench.wait(1)
        bench.client.takesMore = takesMore
        const chunk = patternBytes(bytes + 1, index)
        sent.push(chunk)
        bench.send(chunk)
        bench.wait(waitMs)
        assert.ok(bench.pacer.heldBytes < HIGH_WATER_BYTES + chunk.length)
      }
      bench.client.takesMore = true
      bench.pacer.drained()
      bench.pacer.endWhenEmpty()
      for (let ms = 0; bench.pacer.heldBytes > 0; ms++) {
        assert.ok(ms < 60_000, 'the queue never becomes empty')
        bench.wait(1)
      }
      assert.ok(Buffer.concat(bench.client.payload).equals(Buffer.concat(sent)))
      assert.deepEqual([bench.slots.outstanding, bench.timer.isRunning], [0, false])
      assertRecords(sizes(bench), sent)
    }),
    { numRuns: 60 },
  )
})

/** No record is too long; one of 1–16 bytes ends where a chunk did, so that no cut of ours made it. */
function assertRecords(records: readonly number[], chunks: readonly Buffer[]): void {
  const ends = new Set<number>()
  const starts = new Set<number>([0])
  let at = 0
  for (const chunk of chunks) {
    at += chunk.length
    ends.add(at)
    starts.add(at)
  }
  at = 0
  for (const bytes of records) {
    assert.ok(bytes >= 1 && bytes <= 16_401, `a record of ${bytes} bytes`)
    if (bytes < 17) assert.ok(starts.has(at), `a tail of ${bytes} bytes was cut off`)
    at += bytes
  }
}
