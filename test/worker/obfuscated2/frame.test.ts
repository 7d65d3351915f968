import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  FRAME_BYTES,
  isReservedPrefix,
  parseFrameTail,
  reverseKeys,
  writeFrameTail,
} from '#worker/obfuscated2/frame'
import { bytes } from '../../support/generators.ts'

/** wire.md §5.2, as bytes on the wire. */
const RESERVED = [
  Buffer.from('HEAD'),
  Buffer.from('POST'),
  Buffer.from('GET '),
  Buffer.from('OPTI'),
  Buffer.of(0x16, 0x03, 0x01, 0x02),
  Buffer.alloc(4, 0xdd),
  Buffer.alloc(4, 0xee),
]
/** Starts with no transport's mark. */
const HARMLESS = Buffer.alloc(FRAME_BYTES, 0x42)

test('every beginning that a data centre takes for another transport is reserved', () => {
  for (const prefix of RESERVED) {
    const frame = Buffer.from(HARMLESS)
    prefix.copy(frame)
    assert.equal(isReservedPrefix(frame), true, String(prefix))
    frame[3]! ^= 1
    assert.equal(isReservedPrefix(frame), false, `not quite ${String(prefix)}`)
  }
  const abridged = Buffer.from(HARMLESS)
  abridged[0] = 0xef
  assert.equal(isReservedPrefix(abridged), true)
  const full = Buffer.from(HARMLESS)
  full.fill(0, 4, 8) // sequence number 0 of the full transport
  assert.equal(isReservedPrefix(full), true)
  full[7] = 1
  assert.equal(isReservedPrefix(full), false)
  assert.equal(isReservedPrefix(HARMLESS), false)
})

test('type and data centre are read as they are written, the rest of the frame is untouched', () => {
  fc.assert(
    fc.property(bytes(FRAME_BYTES), fc.integer({ min: -32_768, max: 32_767 }), (drawn, dc) => {
      const frame = Buffer.from(drawn)
      writeFrameTail(frame, dc)
      assert.deepEqual(parseFrameTail(frame), { ok: true, dc: dc === 0 ? null : dc })
      assert.equal(frame.toString('hex', 56, 60), 'dddddddd')
      assert.deepEqual([frame[60], frame[61]], [dc & 0xff, (dc >> 8) & 0xff])
      assert.deepEqual(frame.subarray(0, 56), drawn.subarray(0, 56))
      assert.deepEqual(frame.subarray(62), drawn.subarray(62))
    }),
  )
})

test('any type but padded intermediate is refused', () => {
  for (const type of ['efefefef', 'eeeeeeee', '00000000', 'dddddddc', 'ddddddd0', '5ddddddd']) {
    const frame = Buffer.from(HARMLESS)
    Buffer.from(type, 'hex').copy(frame, 56)
    assert.deepEqual(parseFrameTail(frame), { ok: false, code: 'obfuscated2' })
  }
})

test('the keys of the other direction are bytes 8 to 55 backwards, in memory of their own', () => {
  const frame = Buffer.from(Uint8Array.from({ length: FRAME_BYTES }, (_, index) => index))
  const reversed = reverseKeys(frame)
  assert.deepEqual(
    [...reversed],
    Array.from({ length: 48 }, (_, index) => 55 - index),
  )
  reversed.fill(0)
  assert.equal(frame[20], 20)
})
