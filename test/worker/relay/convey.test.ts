import assert from 'node:assert/strict'
import { createCipheriv, type Cipheriv } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { dcSlot, slot } from '#shared/state/layout'
import type { Ciphers, CtrStream } from '#worker/obfuscated2/ctr-stream'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import { conveyDown, conveyRaw, conveyUp, sendUp, type SessionMeters } from '#worker/relay/convey'
import { Relay, type RelayEnd } from '#worker/relay/relay'
import { ByteSocket } from '#worker/socket/byte-socket'
import { WriteSlots } from '#worker/socket/write-slots'
import { loadAllCiphers } from '../../support/ciphers.ts'
import { encodeRecord } from '../../support/generators.ts'
import { CountedSlots, LIVENESS_MS, openPair, patternBytes, readToEnd } from '../../support/socket-pair.ts'
import { createSessionMeters } from '../../support/session-meters.ts'

const NODE_CIPHERS = new NodeCiphers()
const LIMIT = { timeout: LIVENESS_MS }
const UP_SLOT = dcSlot('telegram_traffic', 0, 'from_client')
const DOWN_SLOT = dcSlot('telegram_traffic', 0, 'to_client')

const stream = (seed: number): Cipheriv =>
  createCipheriv('aes-256-ctr', Buffer.alloc(32, seed), Buffer.alloc(16, seed))
const ours = (seed: number, ciphers: Ciphers = NODE_CIPHERS): CtrStream =>
  ciphers.open({ key: Buffer.alloc(32, seed), iv: Buffer.alloc(16, seed) })

function createMeters(): { meters: SessionMeters; count: (counter: number) => number } {
  const memory = createCountersMemory(1)
  const counters = new CounterRow(memory, 0)
  const sums = new CounterSums(memory)
  const meters = createSessionMeters(counters)
  const count = (counter: number): number => {
    counters.publish()
    return sums.sum(counter)
  }
  return { meters, count }
}

interface Session {
  client: Socket
  dc: Socket
  meters: SessionMeters
  count: (counter: number) => number
  decoder: RecordDecoder
  slots: CountedSlots
  ended: Promise<RelayEnd>
}

/** A relay as a session has it; keys 1 and 2 between client and proxy, 3 and 4 between proxy and data centre. */
async function openSession(
  t: TestContext,
  mode: 'fast' | 'recrypt',
  ciphers: Ciphers = NODE_CIPHERS,
): Promise<Session> {
  const [client, dc] = await Promise.all([openPair(t), openPair(t)])
  const slots = new CountedSlots()
  const { meters, count } = createMeters()
  const decoder = new RecordDecoder()
  const { promise: ended, resolve } = Promise.withResolvers<RelayEnd>()
  const relay = new Relay(
    ByteSocket.adopt(client.accepted, slots, Buffer.allocUnsafeSlow(128 * 1024)),
    ByteSocket.adopt(dc.accepted, slots, Buffer.allocUnsafeSlow(256 * 1024)),
    { mirrorsResets: false, onHalfClosed: () => {}, onEnd: resolve },
  )
  const up = { from: ours(1, ciphers), to: ours(3, ciphers) }
  const down = mode === 'fast' ? null : { from: ours(4, ciphers), to: ours(2, ciphers) }
  relay.start(
    conveyUp(decoder, up, slots, meters, () => relay.endUp()),
    conveyDown(down, slots, meters, null),
  )
  return { client: client.peer, dc: dc.peer, meters, count, decoder, slots, ended }
}

/** A socket that takes everything: up, nothing of one is called but `writeSlot`. */
function onlyWrites(write: (bytes: Buffer) => void): ByteSocket {
  const socket: Pick<ByteSocket, 'writeSlot'> = {
    writeSlot: (slot, length) => {
      write(slot.subarray(0, length))
      return true
    },
  }
  return socket as ByteSocket
}

/** Application data by the headers alone; nothing else may be there. */
function takeRecords(wire: Buffer): Buffer[] {
  const payloads = []
  for (let at = 0; at < wire.length;) {
    assert.equal(wire.toString('hex', at, at + 3), '170303')
    const length = wire.readUInt16BE(at + 3)
    payloads.push(wire.subarray(at + 5, at + 5 + length))
    at += 5 + length
  }
  return payloads
}

for (const [mode, ciphers] of [
  ['fast', NODE_CIPHERS],
  ...(await loadAllCiphers()).map((ciphers) => ['recrypt', ciphers] as const),
] as const) {
  test(
    `in ${mode} mode by ${ciphers.name} 2 MB both ways arrive exact and are counted as payload`,
    LIMIT,
    async (t) => {
      const { client, dc, meters, count, slots, ended } = await openSession(t, mode, ciphers)
      const [up, down] = [patternBytes(2_000_000, 1), patternBytes(2_000_000, 2)]
      const received = Promise.all([readToEnd(dc), readToEnd(client)])

      const encrypted = stream(1).update(up)
      client.write(encodeRecord(0x14, Buffer.of(1)))
      for (let from = 0, size = 1; from < up.length; from += size, size = 1 + ((size * 7919) % 16_000)) {
        client.write(encodeRecord(0x17, encrypted.subarray(from, from + size)))
      }
      client.end()
      dc.end(stream(mode === 'fast' ? 2 : 4).update(down))

      const [atDc, atClient] = await received
      assert.ok(stream(3).update(atDc).equals(up))
      const records = takeRecords(atClient)
      assert.ok(records.every((payload) => payload.length > 0 && payload.length <= 16_401))
      assert.ok(stream(2).update(Buffer.concat(records)).equals(down))
      assert.equal(await ended, 'ended')

      assert.deepEqual([meters.tally.up, meters.tally.down], [up.length, down.length])
      assert.deepEqual([meters.account.bytesIn, meters.account.bytesOut], [up.length, down.length])
      assert.deepEqual([count(UP_SLOT), count(DOWN_SLOT)], [up.length, down.length])
      assert.equal(meters.account.lastSeenMs, meters.clock.unixMs)
      assert.equal(meters.tally.lastActiveMs, meters.clock.monotonicMs)
      assert.equal(slots.outstanding, 0)
    },
  )
}

test('activity of either direction is seen', LIMIT, async (t) => {
  const { client, dc, meters } = await openSession(t, 'recrypt')
  const at = { ...meters.account }
  dc.write(stream(4).update('to the client'))
  await once(client, 'data')
  assert.equal(meters.account.lastSeenMs, meters.clock.unixMs)
  meters.account.lastSeenMs = at.lastSeenMs
  client.write(encodeRecord(0x17, stream(1).update('from the client')))
  await once(dc, 'data')
  assert.equal(meters.account.lastSeenMs, meters.clock.unixMs)
})

test('a message that comes alone leaves alone, in one record, however short', LIMIT, async (t) => {
  const { client, dc } = await openSession(t, 'recrypt')
  const fromDc = stream(4)
  const toClient = stream(2)
  for (const text of ['x', 'a message', 'one more']) {
    dc.write(fromDc.update(text))
    const [wire] = (await once(client, 'data')) as [Buffer] // a socket without an encoding gives buffers
    const [payload, ...more] = takeRecords(wire)
    assert.ok(payload)
    assert.equal(String(toClient.update(payload)), text)
    assert.equal(more.length, 0)
  }
})

test('records without payload count nothing and reach nobody', LIMIT, async (t) => {
  const { client, dc, meters } = await openSession(t, 'fast')
  meters.tally.lastActiveMs = -1
  client.write(encodeRecord(0x14, Buffer.of(1)))
  client.write(encodeRecord(0x17, Buffer.alloc(0)))
  client.end()
  assert.equal((await readToEnd(dc)).length, 0)
  assert.deepEqual([meters.tally.up, meters.tally.lastActiveMs], [0, -1])
})

test('the client’s close_notify is a FIN to the data centre behind the last payload', LIMIT, async (t) => {
  const { client, dc, decoder, ended } = await openSession(t, 'recrypt')
  const last = encodeRecord(0x17, stream(1).update('last words'))
  client.write(
    Buffer.concat([last, encodeRecord(0x15, Buffer.of(1, 0)), encodeRecord(0x17, Buffer.from('ignored'))]),
  )
  const atDc = await readToEnd(dc)
  assert.equal(String(stream(3).update(atDc)), 'last words')
  assert.equal(decoder.end, 'close-notify')
  client.write('whatever follows is dropped')
  dc.end(stream(4).update('answer'))
  const records = takeRecords(await readToEnd(client))
  assert.equal(String(stream(2).update(Buffer.concat(records))), 'answer')
  client.end()
  assert.equal(await ended, 'ended')
})

test('a broken record stream is told after the payload before it has gone on', () => {
  const { meters } = createMeters()
  const decoder = new RecordDecoder()
  const order: string[] = []
  const convey = conveyUp(decoder, { from: ours(1), to: ours(3) }, new WriteSlots(), meters, () =>
    order.push('end'),
  )
  const to = onlyWrites((bytes) => order.push(`write ${bytes.length}`))
  assert.equal(
    convey(Buffer.concat([encodeRecord(0x17, Buffer.from('abc')), Buffer.from('1703010001ff', 'hex')]), to),
    true,
  )
  assert.deepEqual(order, ['write 3', 'end'])
  assert.equal(decoder.end, 'record-version')
})

test('what came before the data centre was there goes on by the same streams', () => {
  const { meters } = createMeters()
  const encrypted = stream(1).update('early and late')
  const streams = { from: ours(1), to: ours(3) }
  const sent: Buffer[] = []
  const dc = onlyWrites((bytes) => sent.push(Buffer.from(bytes)))
  sendUp(encrypted.subarray(0, 5), dc, streams, new WriteSlots(), meters)
  sendUp(encrypted.subarray(5), dc, streams, new WriteSlots(), meters)
  assert.equal(String(stream(3).update(Buffer.concat(sent))), 'early and late')
  assert.equal(meters.account.bytesIn, 14)
})

test('fronted bytes pass as they are and are counted by direction', LIMIT, async (t) => {
  const [client, site] = await Promise.all([openPair(t), openPair(t)])
  const slots = new CountedSlots()
  const { meters, count } = createMeters()
  const { tally, counters, clock } = meters
  const { promise: ended, resolve } = Promise.withResolvers<RelayEnd>()
  const relay = new Relay(
    ByteSocket.adopt(client.accepted, slots, Buffer.allocUnsafeSlow(4096)),
    ByteSocket.adopt(site.accepted, slots, Buffer.allocUnsafeSlow(4096)),
    { mirrorsResets: false, onHalfClosed: () => {}, onEnd: resolve },
  )
  const FROM_CLIENT = slot('domain_fronting_traffic', { direction: 'from_client' })
  const TO_CLIENT = slot('domain_fronting_traffic', { direction: 'to_client' })
  relay.start(
    conveyRaw(tally, 'up', counters, FROM_CLIENT, clock),
    conveyRaw(tally, 'down', counters, TO_CLIENT, clock),
  )
  const [up, down] = [patternBytes(100_000, 1), patternBytes(300_000, 2)]
  const received = Promise.all([readToEnd(site.peer), readToEnd(client.peer)])
  client.peer.end(up)
  site.peer.end(down)
  const [atSite, atClient] = await received
  assert.ok(atSite.equals(up))
  assert.ok(atClient.equals(down))
  assert.equal(await ended, 'ended')
  await nextTurn()
  assert.deepEqual([tally.up, tally.down], [100_000, 300_000])
  assert.deepEqual([count(FROM_CLIENT), count(TO_CLIENT)], [100_000, 300_000])
  assert.equal(meters.account.bytesIn, 0, 'fronted traffic is nobody’s')
})
