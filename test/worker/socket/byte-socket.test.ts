import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ByteSocket } from '#worker/socket/byte-socket'
import {
  CountedSlots,
  LIVENESS_MS,
  openPair,
  patternBytes,
  readToEnd,
  RecordingSink,
} from '../../support/socket-pair.ts'

const LARGE_BYTES = 3 * 1024 * 1024
const LIMIT = { timeout: LIVENESS_MS }

// Small, so that large transfers take many reads into the same memory.
const PATHS = [
  ['a shared read buffer', () => Buffer.allocUnsafeSlow(24 * 1024)],
  ["'data' events", () => null],
] as const

for (const [path, createBuffer] of PATHS) {
  test(`with ${path}: 3 MB from a peer arrive exact through pauses at every chunk`, LIMIT, async (t) => {
    const { peer, accepted } = await openPair(t)
    const socket = ByteSocket.adopt(accepted, new CountedSlots(), createBuffer())
    const sink = new RecordingSink()
    sink.onBytes = () => {
      socket.pause()
      setImmediate(() => socket.resume())
    }
    socket.setSink(sink)
    socket.resume()
    const sent = patternBytes(LARGE_BYTES)
    peer.end(sent)
    await sink.saw('ended')
    assert.ok(sink.received.equals(sent))
  })

  test(
    `with ${path}: what goes to a slow peer arrives exact, and every slot comes back`,
    LIMIT,
    async (t) => {
      const { peer, accepted } = await openPair(t)
      const slots = new CountedSlots()
      const socket = ByteSocket.adopt(accepted, slots, createBuffer())
      const sink = new RecordingSink()
      socket.setSink(sink)
      const pattern = patternBytes(LARGE_BYTES)
      const scratch = Buffer.alloc(70_000)
      const sent: Buffer[] = []
      const sendSome = (): boolean => {
        const size = 1 + ((sent.length * 7919) % scratch.length)
        const from = (sent.length * 104_729) % (LARGE_BYTES - size)
        sent.push(pattern.subarray(from, from + size))
        pattern.copy(scratch, 0, from, from + size)
        const goOn = socket.writeCopy(scratch.subarray(0, size))
        scratch.fill(0xee) // read into again
        return goOn
      }
      const received = readToEnd(peer)
      peer.pause()
      while (sendSome()) await nextTurn()
      peer.resume()
      for (let i = 0; i < 40; i++) {
        if (sendSome()) continue
        sink.events.length = 0
        await sink.saw('drained')
      }
      socket.end()
      assert.ok((await received).equals(Buffer.concat(sent)))
      if (!socket.socket.writableFinished) await once(socket.socket, 'finish')
      assert.equal(slots.outstanding, 0)
    },
  )

  test(
    `with ${path}: slots of writes that never left come back when the socket is destroyed`,
    LIMIT,
    async (t) => {
      const { peer, accepted } = await openPair(t)
      peer.pause()
      const slots = new CountedSlots()
      const socket = ByteSocket.adopt(accepted, slots, createBuffer())
      const sink = new RecordingSink()
      socket.setSink(sink)
      while (socket.writeCopy(patternBytes(60_000))) await nextTurn()
      for (let i = 0; i < 10; i++) socket.writeCopy(patternBytes(5_000))
      socket.write(Buffer.from('without a slot'))
      socket.writeCopy(patternBytes(300_000))
      assert.ok(slots.outstanding > 10)
      socket.destroy()
      await sink.saw('closed')
      await nextTurn()
      assert.equal(slots.outstanding, 0)
      assert.equal(sink.error, null, 'our own destroy is no error')
      socket.writeCopy(Buffer.from('into the void'))
      await nextTurn()
      assert.equal(slots.outstanding, 0, 'a write after the end keeps no slot')
    },
  )

  test(
    `with ${path}: nothing is read before resume, and what came before it is not lost`,
    LIMIT,
    async (t) => {
      const { peer, accepted } = await openPair(t)
      await new Promise<void>((resolve) => peer.write('early', () => resolve()))
      const socket = ByteSocket.adopt(accepted, new CountedSlots(), createBuffer())
      const sink = new RecordingSink()
      socket.setSink(sink)
      for (let i = 0; i < 20; i++) await nextTurn()
      assert.equal(sink.received.length, 0)
      socket.resume()
      peer.end(' and late')
      await sink.saw('ended')
      assert.equal(String(sink.received), 'early and late')
    },
  )

  test(`with ${path}: after the peer's FIN we still send, after ours it still does`, LIMIT, async (t) => {
    for (const first of ['peer', 'us'] as const) {
      const { peer, accepted } = await openPair(t)
      const socket = ByteSocket.adopt(accepted, new CountedSlots(), createBuffer())
      const sink = new RecordingSink()
      socket.setSink(sink)
      socket.resume()
      const received = readToEnd(peer)
      if (first === 'peer') {
        peer.end('request')
        await sink.saw('ended')
        assert.equal(socket.hasEnded, true)
        socket.write(Buffer.from('answer'))
        socket.end()
        assert.equal(String(await received), 'answer')
      } else {
        socket.write(Buffer.from('answer'))
        socket.end()
        assert.equal(String(await received), 'answer')
        assert.equal(socket.hasEnded, false)
        peer.end('request')
        await sink.saw('ended')
      }
      assert.equal(String(sink.received), 'request')
      await sink.saw('closed')
      assert.equal(sink.error, null)
      assert.deepEqual(sink.events, ['ended', 'closed'])
    }
  })

  test(`with ${path}: a reset is told as an error, once, to the sink of the moment`, LIMIT, async (t) => {
    const { peer, accepted } = await openPair(t)
    const socket = ByteSocket.adopt(accepted, new CountedSlots(), createBuffer())
    const [before, now] = [new RecordingSink(), new RecordingSink()]
    socket.setSink(before)
    socket.resume()
    socket.setSink(now)
    peer.resetAndDestroy()
    await now.saw('closed')
    assert.match(String(now.error), /ECONNRESET/)
    assert.deepEqual(now.events, ['closed'])
    assert.deepEqual(before.events, [])
  })

  test(`with ${path}: a sink that comes after the end or the close is told at once`, LIMIT, async (t) => {
    const { peer, accepted } = await openPair(t)
    const socket = ByteSocket.adopt(accepted, new CountedSlots(), createBuffer())
    const early = new RecordingSink()
    socket.setSink(early)
    socket.resume()
    peer.end('bye')
    await early.saw('ended')
    const afterEnd = new RecordingSink()
    socket.setSink(afterEnd)
    assert.deepEqual(afterEnd.events, ['ended'])
    socket.destroy()
    await afterEnd.saw('closed')
    const afterClose = new RecordingSink()
    socket.setSink(afterClose)
    assert.deepEqual(afterClose.events, ['closed'])
    assert.equal(afterClose.error, null)
  })
}

for (const [path, createBuffer] of PATHS) {
  test(`with ${path}: what is put back comes before the end that is known already`, LIMIT, async (t) => {
    const { peer, accepted } = await openPair(t)
    const socket = ByteSocket.adopt(accepted, new CountedSlots(), createBuffer())
    const first = new RecordingSink()
    const both = Promise.withResolvers<void>()
    first.onBytes = () => {
      socket.pause()
      both.resolve()
    }
    socket.setSink(first)
    socket.resume()
    peer.end('reply and greeting')
    await both.promise
    socket.unread(Buffer.from('greeting'))
    for (let i = 0; i < 20; i++) await nextTurn()
    const order: string[] = []
    const next = new RecordingSink()
    next.onBytes = (chunk) => order.push(String(chunk))
    next.ended = () => order.push('ended')
    socket.setSink(next)
    socket.resume()
    while (order.length < 2) await nextTurn()
    assert.deepEqual(order, ['greeting', 'ended'])
  })
}

test('sockets that share one read buffer do not see each other’s bytes', LIMIT, async (t) => {
  const buffer = Buffer.allocUnsafeSlow(16 * 1024)
  const transfers = await Promise.all(
    [1, 2, 3, 4].map(async (seed) => {
      const { peer, accepted } = await openPair(t)
      const sink = new RecordingSink()
      const socket = ByteSocket.adopt(accepted, new CountedSlots(), buffer)
      socket.setSink(sink)
      socket.resume()
      const sent = patternBytes(400_000, seed)
      peer.end(sent)
      return { sink, sent }
    }),
  )
  for (const { sink, sent } of transfers) {
    await sink.saw('ended')
    assert.ok(sink.received.equals(sent))
  }
})

test('with a shared read buffer the chunks are that memory, not copies', LIMIT, async (t) => {
  const buffer = Buffer.allocUnsafeSlow(1024)
  const { peer, accepted } = await openPair(t)
  const socket = ByteSocket.adopt(accepted, new CountedSlots(), buffer)
  const sink = new RecordingSink()
  let shared = 0
  sink.onBytes = (chunk) => {
    shared += chunk.buffer === buffer.buffer && chunk.length <= 1024 ? chunk.length : 0
  }
  socket.setSink(sink)
  socket.resume()
  peer.end(patternBytes(5000))
  await sink.saw('ended')
  assert.equal(shared, 5000)
})

test(
  'tiny writes that wait are bounded by their number, and the end of the wait is told',
  LIMIT,
  async (t) => {
    const { peer, accepted } = await openPair(t)
    peer.pause()
    const socket = ByteSocket.adopt(accepted, new CountedSlots(), Buffer.allocUnsafeSlow(1024))
    const sink = new RecordingSink()
    socket.setSink(sink)
    // Corked, so that nothing leaves however much room the kernel has.
    socket.socket.cork()
    let accepts = 0
    while (socket.writeCopy(Buffer.of(accepts & 255))) accepts += 1
    assert.ok(accepts < 1000, `${accepts} single bytes wait`)
    const { writableHighWaterMark } = socket.socket
    assert.ok(accepts < writableHighWaterMark, 'long before the limit in bytes')
    peer.resume()
    socket.socket.uncork()
    await sink.saw('drained')
    assert.equal(socket.unsentBytes, 0)
    assert.equal(socket.writeCopy(Buffer.of(1)), true)
  },
)

test('a peer that has ended still gets all that waits for it, and then the FIN', LIMIT, async (t) => {
  const { peer, accepted } = await openPair(t)
  const socket = ByteSocket.adopt(accepted, new CountedSlots(), Buffer.allocUnsafeSlow(1024))
  const sink = new RecordingSink()
  socket.setSink(sink)
  socket.resume()
  peer.pause()
  peer.end('the last word')
  await sink.saw('ended')
  const sent = patternBytes(4 * LARGE_BYTES) // more than the kernel takes at once
  socket.write(sent)
  assert.ok(socket.socket.writableLength > 0)
  socket.end()
  const reading = readToEnd(peer)
  peer.resume()
  assert.ok((await reading).equals(sent))
})

test('what is put back stays as it was though its memory is read into again', LIMIT, async (t) => {
  const { accepted } = await openPair(t)
  const socket = ByteSocket.adopt(accepted, new CountedSlots(), Buffer.allocUnsafeSlow(1024))
  const sink = new RecordingSink()
  socket.setSink(sink)
  const shared = Buffer.from('the beginning')
  socket.unread(shared)
  shared.fill(0xee)
  socket.resume()
  assert.equal(String(sink.received), 'the beginning')
  socket.destroy()
})

test('a socket that its peer reset before it was taken over is told to be closed', LIMIT, async (t) => {
  const { accepted } = await openPair(t)
  accepted.destroy()
  const socket = ByteSocket.adopt(accepted, new CountedSlots(), Buffer.allocUnsafeSlow(1024))
  const sink = new RecordingSink()
  socket.setSink(sink)
  socket.resume()
  await sink.saw('closed')
})
