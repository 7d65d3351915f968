import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  buildClientFrame,
  buildRecords,
  connectFakeTls,
  MAX_RECORD_PAYLOAD_BYTES,
  type FakeTlsClient,
} from '../support/faketls-client.ts'
import type { HostPort } from '#shared/dc'
import { Faults, FAULTY_SERVE } from '../support/faults.ts'
import { patternSlice, startStreamDc, type StreamDc } from '../support/stream-dc.ts'
import { CHANGE_CIPHER_SPEC, decodeRecords, greetProxy, type RawPeer } from './raw-peer.ts'
import { buildRequest, MIB, readPattern, waitSteady, writePattern } from './transfer.ts'
import { startWorld, waitMetric, waitUntil, type World } from './world.ts'

const timeout = 40_000
/**
 * Kernel buffers on four socket ends: Linux lets receive buffers grow to 32 MiB (`tcp_rmem`), of which two thirds may be
 * payload, and 25 MiB in all have been seen on a busy machine. Without back-pressure it is the whole flood.
 */
const MAX_BUFFERED_BYTES = 52 * MIB
const FLOOD_BYTES = 64 * MIB

const PATHS = [
  { name: 'fast mode', fastMode: true },
  { name: 'both ciphers', fastMode: false },
  { name: "fast mode, 'data' events", fastMode: true, plainReads: true },
  { name: "both ciphers, 'data' events", fastMode: false, plainReads: true },
] as const

type Path = (typeof PATHS)[number]

const PLAIN_READ_WORKER = new URL('plain-read-worker.ts', import.meta.url).href

function through(path: Path): { fastMode: boolean; workerEntry?: string } {
  return 'plainReads' in path
    ? { fastMode: path.fastMode, workerEntry: PLAIN_READ_WORKER }
    : { fastMode: path.fastMode }
}

const at = ({ port }: StreamDc): HostPort[] => [{ host: '127.0.0.1', port }]

async function connect({ proxy, secret }: World, recordPayloadBytes = 2878, dc = 2): Promise<FakeTlsClient> {
  return connectFakeTls({ port: proxy.port, secret, dc, recordPayloadBytes })
}

const UPLOAD_BYTES = 4 * MIB
const PATTERN_BYTES = 24 * MIB

for (const path of PATHS) {
  test(path.name, { timeout: 2 * timeout }, async (t) => {
    const source = await startStreamDc({ mode: 'source' })
    const sink = await startStreamDc({ mode: 'sink', bytes: UPLOAD_BYTES })
    const pattern = await startStreamDc({ mode: 'pattern', bytes: PATTERN_BYTES })
    const deaf = await startStreamDc({ mode: 'half-close' })
    for (const dc of [source, sink, pattern, deaf]) t.after(() => dc.close())
    const world = await startWorld(t, {
      dcs: { 1: at(source), 2: at(sink), 3: at(pattern), 4: at(deaf) },
      ...through(path),
    })
    const connectTo = (dc: StreamDc, recordPayloadBytes?: number): Promise<FakeTlsClient> =>
      connect(world, recordPayloadBytes, 1 + [source, sink, pattern, deaf].indexOf(dc))

    await t.test('16 MiB down arrive as they were sent', { timeout }, async () => {
      const reader = await connectTo(source)
      await source.nextConnection()
      reader.write(buildRequest(16 * MIB))
      await readPattern(reader, 16 * MIB)
      assert.ok(reader.recordLengths.every((bytes) => bytes >= 1 && bytes <= MAX_RECORD_PAYLOAD_BYTES))
      reader.destroy()
    })

    await t.test('4 MiB up arrive as they were sent', { timeout }, async () => {
      for (const recordPayloadBytes of [2878, 16_384, 16_640, 331]) {
        const writer = await connectTo(sink, recordPayloadBytes)
        const connection = await sink.nextConnection()
        await writePattern(writer, UPLOAD_BYTES, 100_003)
        assert.equal(Number((await writer.read(8)).readBigUInt64LE()), UPLOAD_BYTES)
        assert.equal(connection.mismatchAt, -1)
        writer.destroy()
      }
    })

    await t.test(
      'a client that reads nothing stops its data centre, and goes on later',
      { timeout },
      async () => {
        const client = await connectTo(source)
        const { socket } = await source.nextConnection()
        client.socket.pause()
        client.write(buildRequest(FLOOD_BYTES))
        const sentBytes = await waitSteady(() => socket.bytesWritten)
        assert.ok(sentBytes > 0 && sentBytes < MAX_BUFFERED_BYTES, `${sentBytes} bytes were taken`)
        client.socket.resume()
        await readPattern(client, FLOOD_BYTES)
        client.destroy()
      },
    )

    await t.test(
      'a data centre that reads nothing stops its client, and goes on later',
      { timeout },
      async () => {
        const client = await connectTo(sink, 16_384)
        const connection = await sink.nextConnection()
        connection.socket.pause()
        const written = writePattern(client, FLOOD_BYTES)
        const sentBytes = await waitSteady(() => client.socket.bytesWritten - client.socket.writableLength)
        assert.ok(sentBytes > 0 && sentBytes < MAX_BUFFERED_BYTES, `${sentBytes} bytes were taken`)
        connection.socket.resume()
        await written
        const counts = await client.read((FLOOD_BYTES / UPLOAD_BYTES) * 8)
        assert.equal(Number(counts.readBigUInt64LE(counts.length - 8)), FLOOD_BYTES)
        client.destroy()
      },
    )

    await t.test('behind the FIN of a client its data centre still sends the rest', { timeout }, async () => {
      const client = await connectTo(source)
      client.write(buildRequest(8 * MIB))
      await source.nextConnection() // before, a FIN means that the client has left (decision W10)
      client.end()
      await readPattern(client, 8 * MIB)
      await client.ended
      assert.equal((await client.closed).errorCode, null)
    })

    await t.test(
      'a slow client gets all that was sent before the FIN, and then the FIN',
      { timeout },
      async () => {
        const client = await connectTo(pattern)
        client.socket.pause()
        const { socket } = await pattern.nextConnection()
        await waitSteady(() => socket.bytesWritten)
        client.socket.resume()
        await readPattern(client, PATTERN_BYTES)
        await client.ended
        client.end()
        assert.equal((await client.closed).errorCode, null)
      },
    )

    await t.test('behind the FIN of its data centre a client may still send', { timeout }, async () => {
      const client = await connectTo(deaf)
      await client.ended
      const connection = await deaf.nextConnection()
      await writePattern(client, MIB)
      await connection.waitReceived(MIB)
      client.end()
      assert.equal((await client.closed).errorCode, null)
    })

    if ('plainReads' in path) return
    await t.test('its ciphers are let go of with each connection', { timeout }, async () => {
      const client = await connectTo(source)
      await source.nextConnection()
      await waitMetric(world.proxy, 'mtg_cipher_streams', {}, path.fastMode ? 2 : 4)
      client.destroy()
      await waitMetric(world.proxy, 'mtg_cipher_streams', {}, 0)
    })
  })
}

test('bytes arrive one by one, and records of any size do', { timeout }, async (t) => {
  const echo = await startWorld(t)
  const client = await connect(echo)
  for (const byte of patternSlice(0, 500)) client.write(Buffer.of(byte))
  await readPattern(client, 500)
  client.destroy()

  const dribble = await startWorld(t, { dcMode: 'dribble' })
  const patient = await connect(dribble)
  patient.write(patternSlice(0, 3000))
  await readPattern(patient, 3000)
  patient.destroy()

  const sink = await startWorld(t, { dcMode: 'sink', dcBytes: MIB })
  const { peer, key, flightBytes } = await greetProxy(sink.proxy.port, sink.secret)
  const { frame, up, down } = buildClientFrame(key, 2)
  const payload = Buffer.concat([frame, up.update(patternSlice(0, MIB))])
  let size = 0
  for (let from = 0; from < payload.length; from += size) {
    size = 1 + ((from * 7919 + 13) % 16_640)
    peer.write(buildRecords(payload.subarray(from, from + size), size))
  }
  await peer.waitReceived(flightBytes + 5 + 8)
  assert.equal(Number(decodeRecords(peer.received, flightBytes, down).readBigUInt64LE()), MIB)
  peer.socket.destroy()
})

test('a backlog is never cut into a record with a tail that TLS 1.3 cannot have', { timeout }, async (t) => {
  const world = await startWorld(t, { dcMode: 'source' })
  const client = await connect(world)
  let at = 0
  for (let tail = 0; tail <= 20; tail++) {
    const bytes = MAX_RECORD_PAYLOAD_BYTES + tail // one write, and one read on loopback
    const from = client.recordLengths.length
    client.write(buildRequest(bytes))
    await readPattern(client, bytes, at)
    at += bytes
    const lengths = client.recordLengths.slice(from)
    assert.ok(
      lengths.every((length) => length >= 17 && length <= MAX_RECORD_PAYLOAD_BYTES),
      `${bytes} bytes became ${lengths.join()}`,
    )
  }
  client.destroy()
})

/** A session whose next bytes the test writes itself. */
async function openRaw(world: World): Promise<RawPeer> {
  const { peer, key } = await greetProxy(world.proxy.port, world.secret)
  peer.write(Buffer.concat([CHANGE_CIPHER_SPEC, buildRecords(buildClientFrame(key, 2).frame, 64)]))
  return peer
}

const EMPTY_RECORD = '1703030000'

test('close_notify ends the way up alone', { timeout }, async (t) => {
  const world = await startWorld(t, { dcMode: 'source' })
  const client = await connect(world)
  client.write(buildRequest(4 * MIB))
  client.socket.write(Buffer.from('15030300020100', 'hex'))
  await readPattern(client, 4 * MIB)
  await client.ended
  client.end()
  assert.equal((await client.closed).errorCode, null)
})

test(
  'a fatal alert, a broken record and a flood of empty ones close the connection',
  { timeout },
  async (t) => {
    const world = await startWorld(t)
    for (const [what, bytes] of [
      ['a fatal alert', '15030300020228'],
      ['record version 03 01', '1703010001ff'],
      ['a record of 16641 bytes', '1703034101'],
      ['33 empty records', EMPTY_RECORD.repeat(33)],
      ['33 times ChangeCipherSpec', '140303000101'.repeat(33)],
    ] as const) {
      const peer = await openRaw(world)
      const connection = await world.dc.nextConnection()
      const before = peer.received.length
      peer.write(Buffer.from(bytes, 'hex'))
      await peer.waitOver()
      await waitUntil(() => connection.socket.closed, `the end at the data centre after ${what}`)
      assert.equal(peer.received.length, before)
      peer.socket.destroy()
    }
    // What is allowed keeps it open.
    const client = await connect(world)
    for (const records of [
      EMPTY_RECORD.repeat(32),
      '15030300020101',
      `140303000101${EMPTY_RECORD.repeat(30)}`,
    ]) {
      client.socket.write(Buffer.from(records, 'hex'))
      client.write(Buffer.from('on'))
      assert.equal((await client.read(2)).toString(), 'on')
    }
    client.destroy()
    await waitMetric(world.proxy, 'mtg_telegram_connections', {}, 0)
  },
)

test(
  'a data centre that resets leaves the client what was on its way, and an orderly end',
  { timeout },
  async (t) => {
    const world = await startWorld(t, { dcMode: 'source' })
    const client = await connect(world)
    const { socket } = await world.dc.nextConnection()
    client.socket.pause()
    client.write(buildRequest(FLOOD_BYTES))
    await waitSteady(() => socket.bytesWritten)
    socket.resetAndDestroy()
    client.socket.resume()
    await client.ended
    const gotBytes = client.bufferedBytes
    assert.ok(gotBytes > 0)
    await readPattern(client, gotBytes)
    client.end()
    assert.equal((await client.closed).errorCode, null)
    const stats = await world.proxy.statsWhen(({ total_connections }) => total_connections === 0)
    assert.equal(stats.users['alice']?.bytes_out, gotBytes, 'and just that is booked')
  },
)

test('what never left for a client that resets is not booked', { timeout }, async (t) => {
  for (const fastMode of [true, false]) {
    const world = await startWorld(t, { dcMode: 'source', fastMode })
    const client = await connect(world)
    await world.dc.nextConnection()
    client.socket.pause()
    client.write(buildRequest(FLOOD_BYTES))
    await world.proxy.statsWhen(({ users }) => (users['alice']?.bytes_out ?? 0) > 0)
    // Stalled: the proxy has written what it cannot send, and counted it.
    const writtenBytes = await waitSteady(async () => (await world.proxy.stats()).users['alice']!.bytes_out)
    client.socket.resetAndDestroy()
    const stats = await world.proxy.statsWhen(({ total_connections }) => total_connections === 0)
    const bookedBytes = stats.users['alice']?.bytes_out ?? 0
    assert.ok(bookedBytes < writtenBytes, `${bookedBytes} of ${writtenBytes} written bytes are booked`)
    assert.ok(bookedBytes > 0)
  }
})

test('a client that resets ends the connection to its data centre', { timeout }, async (t) => {
  const world = await startWorld(t, { dcMode: 'source' })
  for (const isStalled of [false, true]) {
    const client = await connect(world)
    const connection = await world.dc.nextConnection()
    if (isStalled) {
      client.socket.pause()
      client.write(buildRequest(FLOOD_BYTES))
      await waitSteady(() => connection.socket.bytesWritten)
    }
    client.socket.resetAndDestroy()
    await waitUntil(() => connection.socket.closed, 'the end at the data centre')
    await world.proxy.statsWhen(({ total_connections }) => total_connections === 0)
  }
})

test('silence for the idle limit closes; a word from either side prolongs', { timeout }, async (t) => {
  // Minutes, which only the thread's own clock runs through: nothing that a slow machine does is as long.
  const idleMs = 600_000
  const network = { timeout: { tcpMs: 5000, httpMs: 10_000, idleMs, handshakeMs: 10_000 } }
  const world = await startWorld(t, { config: { network }, workerEntry: FAULTY_SERVE })
  const faults = new Faults(world.proxy.port)
  t.after(() => faults.close())
  const pass = (ms: number): Promise<void> => faults.arm(0, { kind: 'skip-time', ms })
  const [silent, chatty] = [await connect(world), await connect(world)]
  const say = async (client: FakeTlsClient): Promise<void> => {
    client.write(Buffer.from('a word'))
    assert.equal(String(await client.read(6)), 'a word')
  }
  await say(silent)
  await pass(0.6 * idleMs)
  await say(chatty)
  await world.proxy.statsWhen(({ total_connections }) => total_connections === 2)
  await pass(0.6 * idleMs)
  await silent.ended.catch(() => {})
  silent.destroy()
  await say(chatty)
  await pass(1.1 * idleMs)
  await chatty.ended.catch(() => {})
  chatty.destroy()
  await world.proxy.statsWhen(({ total_connections }) => total_connections === 0)
})

test('behind one FIN there is half a minute of silence, and not the idle limit', { timeout }, async (t) => {
  const half = await startStreamDc({ mode: 'half-close' })
  const silent = await startStreamDc({ mode: 'silent' })
  for (const dc of [half, silent]) t.after(() => dc.close())
  const world = await startWorld(t, {
    dcs: { 2: at(half), 4: at(silent) },
    workerEntry: new URL('hasty-worker.ts', import.meta.url).href, // half a minute is 0.3 s there
    config: {
      network: { timeout: { tcpMs: 5000, httpMs: 5000, handshakeMs: 30_000, idleMs: 24 * 3_600_000 } },
    },
  })
  const staying = await connect(world, 2878, 4)
  const leaving = await connect(world, 2878, 2)
  await waitMetric(world.proxy, 'mtg_relays_ended', { to: 'telegram', how: 'idle' }, 1)
  await waitMetric(world.proxy, 'mtg_telegram_connections', {}, 1)
  for (const client of [staying, leaving]) client.destroy()
})
