import assert from 'node:assert/strict'
import { createCipheriv, type Cipheriv } from 'node:crypto'
import * as fc from 'fast-check'
import { RecordDecoder } from '#worker/fake-tls/record-decoder'
import type { Ciphers, CtrStream } from '#worker/obfuscated2/ctr-stream'
import { conveyDown, conveyUp, type SessionMeters } from '#worker/relay/convey'
import type { ByteSocket } from '#worker/socket/byte-socket'
import { WriteSlots } from '#worker/socket/write-slots'
import { loadAllCiphers } from '../../support/ciphers.ts'
import { bytes, cutAt, encodeRecord } from '../../support/generators.ts'
import { cutsOf, stateless, type Target } from '../target.ts'
import { createSessionMeters } from '../../support/session-meters.ts'

const DATA = 0x17
const reference = (seed: number): Cipheriv =>
  createCipheriv('aes-256-ctr', Buffer.alloc(32, seed), Buffer.alloc(16, seed))

const record = (): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.constantFrom(DATA, DATA, DATA, 0x14, 0x15), fc.oneof(bytes(0, 80), bytes(2870, 2890)))
    .map(([type, payload]) => encodeRecord(type, payload))

/** What was written to a socket; nothing else of one is called. */
function recorder(written: Buffer[]): ByteSocket {
  const socket: Pick<ByteSocket, 'writeSlot'> = {
    writeSlot(slot, length) {
      assert.ok(length <= slot.length)
      written.push(Buffer.from(slot.subarray(0, length)))
      return true
    },
  }
  return socket as ByteSocket
}

/**
 * A client's bytes on their way up and the same bytes on their way down, cut anywhere, by every way there is to do AES: what
 * leaves is what the description says, and no stream stays behind.
 */
export const relay: Target = {
  name: 'relay',
  inputs: fc.array(record(), { maxLength: 8 }).map((list) => Buffer.concat(list)),
  dictionary: [Buffer.of(DATA, 3, 3), Buffer.of(DATA, 3, 3, 0, 1, 9), Buffer.of(0x15, 3, 3, 0, 2, 1, 0)],
  maxBytes: 65_536,
  limitMs: 200,
  async open() {
    const all = await loadAllCiphers()
    const slots = new WriteSlots()
    const meters = createSessionMeters()
    return stateless((input) => {
      for (const ciphers of all) relayOnce(input, ciphers, slots, meters)
    })
  },
}

function relayOnce(input: Buffer, ciphers: Ciphers, slots: WriteSlots, meters: SessionMeters): void {
  const streams: CtrStream[] = []
  const open = (seed: number): CtrStream => {
    const stream = ciphers.open({ key: Buffer.alloc(32, seed), iv: Buffer.alloc(16, seed) })
    streams.push(stream)
    return stream
  }
  const before = ciphers.openStreams
  const [up, down]: [Buffer[], Buffer[]] = [[], []]
  const decoder = new RecordDecoder()
  const conveyed = conveyUp(decoder, { from: open(1), to: open(2) }, slots, meters, () => {})
  const answered = conveyDown({ from: open(3), to: open(4) }, slots, meters, null)
  for (const chunk of cutAt(input, cutsOf(input))) {
    if (chunk.length === 0) continue
    conveyed(Buffer.from(chunk), recorder(up)) // it is changed
    answered(Buffer.from(chunk), recorder(down))
  }
  for (const stream of streams) stream.close()
  assert.equal(ciphers.openStreams, before)

  const payload = payloadOf([input], new RecordDecoder())
  assert.deepEqual(Buffer.concat(up), reference(2).update(reference(1).update(payload)))
  const atClient = payloadOf(down, new RecordDecoder())
  assert.deepEqual(atClient, reference(4).update(reference(3).update(input)))
}

function payloadOf(wire: readonly Buffer[], decoder: RecordDecoder): Buffer {
  const whole = Buffer.concat(wire)
  return whole.subarray(0, decoder.decode(whole))
}
