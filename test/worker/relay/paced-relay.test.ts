import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Pacing } from '#shared/config'
import { UNLEARNT_PROFILE, type DelayModel } from '#shared/traffic-profile'
import { PaceTimer } from '#worker/doppelganger/pace-timer'
import { createPacer } from '#worker/doppelganger/pacer'
import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import { conveyDown, conveyRaw, type SessionMeters } from '#worker/relay/convey'
import { Relay, type RelayEnd } from '#worker/relay/relay'
import { ByteSocket } from '#worker/socket/byte-socket'
import { CountedSlots, LIVENESS_MS, openPair, patternBytes, readToEnd } from '../../support/socket-pair.ts'
import { createSessionMeters } from '../../support/session-meters.ts'

const LIMIT = { timeout: LIVENESS_MS }
/** The longest delay there is, a second: what is held back is still there when a test looks. */
const LATE: DelayModel = { k: 1e6, lambdaMs: 600_000 }
const MODES: readonly { pacing: Pacing; drs: boolean }[] = [
  { pacing: 'burst', drs: false },
  { pacing: 'burst', drs: true },
  { pacing: 'full', drs: false },
  { pacing: 'off', drs: true },
  { pacing: 'off', drs: false },
]

interface Session {
  readonly client: Socket
  readonly dc: Socket
  /** The proxy's side of the client. */
  readonly byteSocket: ByteSocket
  readonly slots: CountedSlots
  readonly timer: PaceTimer
  readonly meters: SessionMeters
  readonly ended: Promise<RelayEnd>
}

async function openSession(
  t: TestContext,
  mode: { pacing: Pacing; drs: boolean },
  delays: DelayModel = UNLEARNT_PROFILE.delays,
): Promise<Session> {
  const [client, dc] = await Promise.all([openPair(t), openPair(t)])
  const slots = new CountedSlots()
  const timer = new PaceTimer()
  const meters = createSessionMeters()
  const { clock, counters } = meters
  const byteSocket = ByteSocket.adopt(client.accepted, slots, Buffer.allocUnsafeSlow(128 * 1024))
  const { promise: ended, resolve } = Promise.withResolvers<RelayEnd>()
  const relay = new Relay(
    byteSocket,
    ByteSocket.adopt(dc.accepted, slots, Buffer.allocUnsafeSlow(256 * 1024)),
    { mirrorsResets: false, onHalfClosed: () => {}, onEnd: resolve },
  )
  const pacer = createPacer(byteSocket, { config: mode, delays, timer, clock, slots, random: Math.random })
  relay.start(
    conveyRaw(meters.tally, 'up', counters, meters.upSlot, clock),
    conveyDown(null, slots, meters, pacer),
  )
  return { client: client.peer, dc: dc.peer, byteSocket, slots, timer, meters, ended }
}

function takePayload(wire: Buffer): { payload: Buffer; lengths: number[] } {
  const decoder = new RecordDecoder()
  const lengths = []
  for (let at = 0; at < wire.length; at += 5 + wire.readUInt16BE(at + 3))
    lengths.push(wire.readUInt16BE(at + 3))
  const chunk = Buffer.from(wire)
  return { payload: chunk.subarray(0, decoder.decode(chunk)), lengths }
}

for (const mode of MODES) {
  const name = `${mode.pacing}${mode.drs ? ' with DRS' : ''}`
  test(
    `${name}: half a megabyte and a FIN at once arrive whole, the FIN behind the last byte`,
    LIMIT,
    async (t) => {
      const { client, dc, slots, timer, ended, byteSocket } = await openSession(t, mode)
      const message = patternBytes(512 * 1024 + 7)
      const received = readToEnd(client)
      dc.end(message)
      const { payload, lengths } = takePayload(await received)
      assert.ok(payload.equals(message))
      assert.ok(lengths.every((bytes) => bytes > 16 && bytes <= 16_401))
      if (mode.drs) assert.ok(lengths.slice(0, 40).every((bytes) => bytes <= 1450))
      client.end('the client may still speak')
      assert.equal(String(await readToEnd(dc)), 'the client may still speak')
      assert.equal(await ended, 'ended')
      assert.deepEqual([slots.outstanding, timer.isRunning, byteSocket.unsentBytes], [0, false, 0])
    },
  )
}

test(
  'what the client has not got when it breaks off is known, and nothing stays behind',
  LIMIT,
  async (t) => {
    const { client, dc, slots, timer, ended, byteSocket, meters } = await openSession(
      t,
      { pacing: 'full', drs: false },
      LATE,
    )
    client.resume()
    const message = patternBytes(50_000)
    dc.write(message)
    await waitFor(() => meters.tally.down === message.length)
    assert.equal(byteSocket.unsentBytes, 50_000, 'counted, but held back')
    assert.ok(timer.isRunning)
    client.resetAndDestroy()
    assert.equal(await ended, 'client-error')
    assert.equal(byteSocket.unsentBytes, 50_000, 'still known when the connection is closed')
    assert.deepEqual([slots.outstanding, timer.isRunning], [0, false])
    assert.equal((await readToEnd(dc)).length, 0)
  },
)

test('a connection that is closed by us drops what it held', LIMIT, async (t) => {
  const { client, dc, slots, timer, ended, byteSocket, meters } = await openSession(
    t,
    { pacing: 'full', drs: false },
    LATE,
  )
  client.resume()
  dc.write(patternBytes(1000))
  await waitFor(() => meters.tally.down === 1000)
  byteSocket.destroy()
  assert.equal(byteSocket.unsentBytes, 1000)
  assert.deepEqual([slots.outstanding, timer.isRunning], [0, false])
  dc.destroy()
  await ended
})

test('a data centre that breaks off leaves the client what it sent', LIMIT, async (t) => {
  const { client, dc, ended } = await openSession(t, { pacing: 'full', drs: false }, { k: 1e6, lambdaMs: 20 })
  const message = patternBytes(60_000)
  const received = readToEnd(client)
  dc.write(message)
  await once(client, 'data')
  dc.resetAndDestroy()
  const { payload } = takePayload(await received)
  assert.ok(payload.equals(message), 'held back when the reset came, sent all the same')
  client.end()
  assert.equal(await ended, 'far-error')
})

test('a client that takes it slowly stops the data centre: what is held stays bounded', LIMIT, async (t) => {
  const { dc, slots, byteSocket } = await openSession(t, { pacing: 'full', drs: false }, LATE)
  const message = Buffer.alloc(32 * 1024 * 1024, 1)
  dc.write(message)
  // The kernel's buffers take their part; then nothing moves any more.
  let before = -1
  while (dc.bytesWritten !== before || dc.writableLength === 0) {
    before = dc.bytesWritten
    await new Promise((resolve) => setTimeout(resolve, 200))
    if (byteSocket.unsentBytes > 0 && dc.writableLength > 0 && dc.bytesWritten === before) break
  }
  assert.ok(byteSocket.unsentBytes < 64 * 1024 + 256 * 1024, `${byteSocket.unsentBytes} bytes are held`)
  assert.ok(slots.outstandingBytes < 1024 * 1024, `${slots.outstandingBytes} bytes of slots`)
  assert.ok(dc.writableLength > 0, 'the data centre has to wait')
})

test('idle connections have no timer', LIMIT, async (t) => {
  const { client, dc, timer } = await openSession(t, { pacing: 'burst', drs: false })
  assert.equal(timer.isRunning, false)
  dc.write(patternBytes(2000))
  await once(client, 'data')
  await waitFor(() => !timer.isRunning)
  assert.equal(timer.isRunning, false)
})

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
