import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { MessageChannel, MessagePort } from 'node:worker_threads'
import { moveSocket } from '#primary/move-socket'
import type { HandOff } from '#shared/hand-off'
import { ByteSocket } from '#worker/socket/byte-socket'
import { CountedSlots, LIVENESS_MS, openPair, RecordingSink } from '../support/socket-pair.ts'

// In a file of its own: whether handles move is found out once in a process.
test(
  'where handles do not move, sockets do, and the worker takes them all the same',
  { timeout: LIVENESS_MS },
  async (t) => {
    const post = Reflect.get(MessagePort.prototype, 'postMessage') as (
      message: HandOff,
      list: unknown,
    ) => void
    // As a Node does that has never heard of handles.
    t.mock.method(
      MessagePort.prototype,
      'postMessage',
      function (this: MessagePort, message: HandOff, list: unknown) {
        if (!(message.handle instanceof Socket)) throw new DOMException('cannot be cloned', 'DataCloneError')
        Reflect.apply(post, this, [message, list])
      },
    )
    const { peer, accepted } = await openPair(t)
    const { port1, port2 } = new MessageChannel()
    t.after(() => port1.close())
    const arriving = once(port2, 'message')
    const { remotePort = 0 } = accepted
    const known = {
      remoteAddress: '127.0.0.1',
      remotePort,
      userHints: [],
      mustFront: false,
      isProxied: false,
      handshakeSource: -1,
      acceptedAtMs: 0,
    }
    assert.equal(moveSocket(port1, accepted, known), true)
    assert.equal(accepted.destroyed, true, 'a shell is left')
    const [{ handle }] = (await arriving) as [HandOff]
    assert.ok(handle instanceof Socket)

    const client = ByteSocket.adopt(handle, new CountedSlots(), Buffer.allocUnsafeSlow(1024))
    t.after(() => client.destroy())
    const sink = new RecordingSink()
    client.setSink(sink)
    client.resume()
    peer.end('said to whoever has it')
    await sink.saw('ended')
    assert.equal(String(sink.received), 'said to whoever has it')
  },
)
