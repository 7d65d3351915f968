import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { frameRecords, framedBytes } from '#worker/fake-tls/record'
import { MAX_IDLE_RECORDS, RecordDecoder } from '#worker/fake-tls/record-decoder'
import { bytes, cutAt, encodeRecord } from '../../support/generators.ts'
import { cutsOf, stateless, type Target } from '../target.ts'

const DATA = 0x17
const ALERT = 0x15
const ENDS = ['close-notify', 'fatal-alert', 'record-version', 'record-length', 'idle-records']

const record = (): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.oneof({ weight: 4, arbitrary: fc.constant(DATA) }, fc.constantFrom(0x14, ALERT, 0x16, 0)),
      fc.oneof({ weight: 8, arbitrary: bytes(0, 80) }, bytes(16_390, 16_650)),
    )
    .map(([type, payload]) => encodeRecord(type, payload))

interface Decoded {
  readonly payload: Buffer
  readonly end: string | null
}

function decode(chunks: readonly Buffer[]): Decoded {
  const decoder = new RecordDecoder()
  const payloads: Buffer[] = []
  for (const chunk of chunks) {
    const given = Buffer.from(chunk) // it is rewritten
    const length = decoder.decode(given)
    assert.ok(length >= 0 && length <= chunk.length)
    payloads.push(given.subarray(0, length))
  }
  return { payload: Buffer.concat(payloads), end: decoder.end }
}

/** The same by record after record, from the description in RFC 8446 and decision W6. */
function decodeSlowly(stream: Buffer): Decoded {
  const payloads: Buffer[] = []
  let idle = 0
  const ended = (end: string | null): Decoded => ({ payload: Buffer.concat(payloads), end })
  for (let at = 0; at + 5 <= stream.length;) {
    const [type, length] = [stream[at], stream.readUInt16BE(at + 3)]
    if (type !== DATA || length === 0) idle += 1
    if (stream.readUInt16BE(at + 1) !== 0x0303) return ended('record-version')
    if (length > 16_640) return ended('record-length')
    if (idle > MAX_IDLE_RECORDS) return ended('idle-records')
    const payload = stream.subarray(at + 5, at + 5 + length)
    if (type === DATA) {
      payloads.push(payload)
      if (payload.length > 0) idle = 0
    }
    if (type === ALERT && payload.length >= 2) {
      if (payload[1] === 0) return ended('close-notify')
      if (payload[0] === 2) return ended('fatal-alert')
    }
    at += 5 + length
  }
  return ended(null)
}

export const records: Target = {
  name: 'records',
  inputs: fc.array(record(), { maxLength: 8 }).map((list) => Buffer.concat(list)),
  dictionary: [
    Buffer.of(DATA, 3, 3),
    Buffer.of(DATA, 3, 3, 0, 0),
    Buffer.of(DATA, 3, 3, 0, 1, 9),
    Buffer.of(0x14, 3, 3, 0, 1, 1),
    Buffer.of(ALERT, 3, 3, 0, 2, 1, 0),
    Buffer.of(ALERT, 3, 3, 0, 2, 2, 40),
    Buffer.of(0x41, 0),
    Buffer.of(0x41, 1),
  ],
  maxBytes: 65_536,
  limitMs: 100,
  open: () =>
    stateless((input) => {
      const expected = decodeSlowly(input)
      assert.deepEqual(decode([input]), expected)
      assert.deepEqual(decode(cutAt(input, cutsOf(input))), expected)
      if (input.length < 64) assert.deepEqual(decode([...input].map((byte) => Buffer.of(byte))), expected)
      assert.ok(expected.end === null || ENDS.includes(expected.end))

      const framed = Buffer.alloc(framedBytes(input.length))
      assert.equal(frameRecords(framed, input), framed.length)
      assert.deepEqual(decodeSlowly(framed), { payload: input, end: null })
    }),
}
