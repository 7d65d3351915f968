import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { answerHello } from '#worker/fake-tls/answer-hello'
import { ByteSocket } from '#worker/socket/byte-socket'
import { CountedSlots, LIVENESS_MS, openPair } from '../../support/socket-pair.ts'

const HELLO = {
  image: Buffer.alloc(100),
  random: Buffer.alloc(32, 1),
  sessionId: Buffer.alloc(32, 2),
  cipherSuite: 0x1302,
  serverNames: [],
}

test(
  'the answer is one flight whose third record has 2500 to 4699 bytes, another one each time',
  { timeout: LIVENESS_MS },
  async (t) => {
    const { peer, accepted } = await openPair(t)
    const client = ByteSocket.adopt(accepted, new CountedSlots(), null)
    const sizes = new Set<number>()
    for (let i = 0; i < 40; i++) {
      answerHello(client, HELLO, Buffer.alloc(16, 3))
      // A socket without an encoding gives buffers.
      const [flight] = (await once(peer, 'data')) as [Buffer]
      const size = flight.readUInt16BE(127 + 6 + 3)
      assert.equal(flight.length, 127 + 6 + 5 + size, 'one write, one segment over loopback')
      assert.ok(size >= 2500 && size <= 4699, `${size}`)
      sizes.add(size)
    }
    assert.ok(sizes.size > 20)
  },
)
