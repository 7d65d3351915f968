import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Convey } from '#worker/relay/pump'
import { Relay, type RelayEnd } from '#worker/relay/relay'
import { ByteSocket } from '#worker/socket/byte-socket'
import {
  closed,
  CountedSlots,
  LIVENESS_MS,
  openPair,
  patternBytes,
  readToEnd,
} from '../../support/socket-pair.ts'

const LIMIT = { timeout: LIVENESS_MS }
const LARGE_BYTES = 3 * 1024 * 1024

interface Relayed {
  /** Bytes that the relay has passed on, both ways. */
  conveyed: number
  /** The ends that are not ours. */
  client: Socket
  far: Socket
  relay: Relay
  ended: Promise<RelayEnd>
  halfClosed: number
  slots: CountedSlots
  sockets: { client: ByteSocket; far: ByteSocket }
}

async function openRelay(
  t: TestContext,
  beforeStart?: (relayed: Relayed) => Promise<void>,
): Promise<Relayed> {
  const [client, far] = await Promise.all([openPair(t), openPair(t)])
  const slots = new CountedSlots()
  const sockets = {
    client: ByteSocket.adopt(client.accepted, slots, Buffer.allocUnsafeSlow(64 * 1024)),
    far: ByteSocket.adopt(far.accepted, slots, Buffer.allocUnsafeSlow(256 * 1024)),
  }
  t.after(() => {
    sockets.client.destroy()
    sockets.far.destroy()
  })
  const { promise: ended, resolve } = Promise.withResolvers<RelayEnd>()
  const relay = new Relay(sockets.client, sockets.far, {
    mirrorsResets: false,
    onHalfClosed: () => (relayed.halfClosed += 1),
    onEnd: resolve,
  })
  const relayed: Relayed = {
    client: client.peer,
    far: far.peer,
    relay,
    ended,
    halfClosed: 0,
    conveyed: 0,
    slots,
    sockets,
  }
  const copy: Convey = (chunk, to) => {
    relayed.conveyed += chunk.length
    return to.writeCopy(chunk)
  }
  await beforeStart?.(relayed)
  relay.start(copy, copy)
  return relayed
}

test('3 MB both ways at once arrive exact, and both sides end in order', LIMIT, async (t) => {
  const { client, far, ended, slots } = await openRelay(t)
  const [up, down] = [patternBytes(LARGE_BYTES, 1), patternBytes(LARGE_BYTES, 2)]
  const received = Promise.all([readToEnd(far), readToEnd(client)])
  client.end(up)
  far.end(down)
  const [gotUp, gotDown] = await received
  assert.ok(gotUp.equals(up))
  assert.ok(gotDown.equals(down))
  assert.equal(await ended, 'ended')
  assert.equal(slots.outstanding, 0)
})

for (const first of ['client', 'far'] as const) {
  test(
    `after the FIN of the ${first} side the other one still sends as much as it likes`,
    LIMIT,
    async (t) => {
      const relayed = await openRelay(t)
      const { ended } = relayed
      const [one, other] = first === 'client' ? [relayed.client, relayed.far] : [relayed.far, relayed.client]
      const received = readToEnd(one)
      const asked = readToEnd(other)
      one.end('request')
      assert.equal(String(await asked), 'request', 'the FIN travels behind the bytes')
      assert.ok(relayed.halfClosed >= 1)
      const answer = patternBytes(LARGE_BYTES)
      for (let from = 0; from < answer.length; from += 100_000) {
        other.write(answer.subarray(from, from + 100_000))
        await nextTurn()
      }
      other.end()
      assert.ok((await received).equals(answer))
      assert.equal(await ended, 'ended')
    },
  )
}

test(
  'when the far side breaks, the client still gets what is queued for it, then a FIN',
  LIMIT,
  async (t) => {
    const relayed = await openRelay(t)
    const { client, far, ended, sockets } = relayed
    const received = readToEnd(client)
    client.pause()
    const sent = patternBytes(LARGE_BYTES)
    far.write(sent)
    while (relayed.conveyed < sent.length) {
      await nextTurn()
      if (sockets.client.socket.writableNeedDrain) client.resume() // else the rest would never be read
    }
    far.resetAndDestroy()
    await closed(sockets.far.socket)
    client.resume()
    client.write('still talking')
    assert.ok((await received).equals(sent))
    client.end()
    assert.equal(await ended, 'far-error')
  },
)

test(
  'when the far side breaks while the client is stalled, what was read before still arrives',
  LIMIT,
  async (t) => {
    const relayed = await openRelay(t)
    const { client, far, ended, sockets } = relayed
    const received = readToEnd(client)
    client.pause()
    const sent: Buffer[] = []
    // Until the client's socket has bytes queued in this process.
    while (!sockets.client.socket.writableNeedDrain) {
      const chunk = patternBytes(60_000, sent.length)
      sent.push(chunk)
      far.write(chunk)
      await nextTurn()
    }
    far.resetAndDestroy()
    await closed(far)
    client.resume()
    const got = await received
    assert.equal(got.length, relayed.conveyed)
    assert.ok(Buffer.concat(sent).subarray(0, got.length).equals(got), 'nothing is mixed up or doubled')
    client.end()
    assert.equal(await ended, 'far-error')
  },
)

test('when the client breaks, the far side gets what is queued for it and is closed', LIMIT, async (t) => {
  const relayed = await openRelay(t)
  const { client, far, ended, sockets, slots } = relayed
  const received = readToEnd(far)
  far.pause()
  const sent: Buffer[] = []
  while (!sockets.far.socket.writableNeedDrain) {
    const chunk = patternBytes(60_000, sent.length)
    sent.push(chunk)
    client.write(chunk)
    await nextTurn()
  }
  // A paused socket does not read a reset; the error comes as it does from a failed write.
  sockets.client.socket.destroy(new Error('broken'))
  await closed(sockets.client.socket)
  assert.equal(sockets.far.socket.destroyed, false, 'bytes are queued for it')
  far.resume()
  const got = await received
  assert.ok(Buffer.concat(sent).subarray(0, got.length).equals(got))
  assert.equal(got.length, relayed.conveyed, 'all that was read from the client')
  assert.equal(await ended, 'client-error')
  assert.equal(slots.outstanding, 0)
})

test('when the client resets, an idle far side is closed at once', LIMIT, async (t) => {
  const { client, far, ended } = await openRelay(t)
  client.resetAndDestroy()
  assert.equal(await ended, 'client-error')
  assert.equal((await readToEnd(far)).length, 0)
})

test('a far side that keeps sending to a client that broke is not read for ever', LIMIT, async (t) => {
  const { client, far, ended } = await openRelay(t)
  const flood = patternBytes(60_000)
  const send = (): void => {
    while (!far.destroyed && far.write(flood));
  }
  far.on('drain', send)
  send()
  await once(client, 'data')
  client.resetAndDestroy()
  assert.equal(await ended, 'client-error')
  await closed(far)
})

test(
  'a reader that does not read stalls the sender, and what is held meanwhile is bounded',
  LIMIT,
  async (t) => {
    for (const direction of ['up', 'down'] as const) {
      const relayed = await openRelay(t)
      const { slots } = relayed
      const [from, to] = direction === 'up' ? [relayed.client, relayed.far] : [relayed.far, relayed.client]
      const received = readToEnd(to)
      to.pause()
      const chunk = patternBytes(64 * 1024)
      const sent: Buffer[] = []
      // The kernel's buffers of two connections hold some megabytes, no more.
      for (let quietTurns = 0; quietTurns < 50; quietTurns++) {
        while (!from.writableNeedDrain) {
          quietTurns = 0
          sent.push(chunk)
          from.write(chunk)
        }
        await nextTurn()
        assert.ok(sent.length < 2000, 'the sender is never stalled')
        assert.ok(slots.outstandingBytes <= 2 * 258 * 1024, `${slots.outstandingBytes} bytes held`)
      }
      to.resume()
      from.end()
      assert.ok((await received).equals(Buffer.concat(sent)), 'nothing is lost by the stall')
      to.end()
      await relayed.ended
    }
  },
)

test(
  'small messages to a reader that does not read pin little more memory than large ones',
  LIMIT,
  async (t) => {
    const relayed = await openRelay(t)
    const { client, far, slots, sockets } = relayed
    client.pause()
    while (sockets.client.socket.writableLength === 0) {
      sockets.client.write(patternBytes(16 * 1024))
      await nextTurn()
    }
    const message = Buffer.alloc(100, 1)
    for (let sent = message.length; !sockets.far.socket.isPaused(); sent += message.length) {
      far.write(message)
      while (relayed.conveyed < sent) await nextTurn()
    }
    assert.ok(slots.outstandingBytes <= 4 * 64 * 1024, `${slots.outstandingBytes} bytes held for 64 KiB`)
  },
)

test('sockets that ended or broke before the relay began are told to it', LIMIT, async (t) => {
  const ended = await openRelay(t, async ({ client, sockets }) => {
    sockets.client.resume()
    client.end()
    await once(sockets.client.socket, 'end')
  })
  assert.equal((await readToEnd(ended.far)).length, 0)
  ended.far.end('answer')
  assert.equal(String(await readToEnd(ended.client)), 'answer')
  assert.equal(await ended.ended, 'ended')

  const broken = await openRelay(t, async ({ client, sockets }) => {
    sockets.client.resume()
    client.resetAndDestroy()
    await closed(sockets.client.socket)
  })
  assert.equal(await broken.ended, 'client-error')

  const bothGone = await openRelay(t, async ({ sockets }) => {
    sockets.client.destroy()
    sockets.far.destroy()
    await closed(sockets.far.socket)
  })
  assert.equal(await bothGone.ended, 'ended')
})

test(
  'the end of the client’s records is a FIN to the far side, and its answer still comes',
  LIMIT,
  async (t) => {
    const relayed = await openRelay(t)
    const { client, far, relay, ended } = relayed
    const asked = readToEnd(far)
    client.write('request')
    await once(far, 'data')
    relay.endUp()
    relay.endUp()
    assert.equal(relayed.halfClosed, 1, 'who goes on talking behind its end gets no more time')
    assert.equal(String(await asked), 'request')
    far.end('answer')
    assert.equal(String(await readToEnd(client)), 'answer')
    client.end()
    assert.equal(await ended, 'ended')
  },
)
