import assert from 'node:assert/strict'
import { createCipheriv, createHash } from 'node:crypto'
import { BUILT_IN_DCS, dcCandidates } from '#shared/dc'
import { acceptClientFrame, greetDc } from '#worker/obfuscated2/handshake'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { FRAME_BYTES } from '#worker/obfuscated2/frame'
import { bytes } from '../../support/generators.ts'
import { stateless, type Target } from '../target.ts'

const NODE_CIPHERS = new NodeCiphers()
const SECRET = Buffer.alloc(16, 5)
const HEAD_BYTES = 56

/**
 * An input is what a client wants to say: 56 bytes that stand as they are, type, data centre and noise in the clear, then
 * what our own random bytes shall be.
 */
function encrypt(plain: Buffer): Buffer {
  const key = createHash('sha256').update(plain.subarray(8, 40)).update(SECRET).digest()
  const stream = createCipheriv('aes-256-ctr', key, plain.subarray(40, HEAD_BYTES))
  return Buffer.concat([plain.subarray(0, HEAD_BYTES), stream.update(plain).subarray(HEAD_BYTES)])
}

/** What a data centre reads in our frame. */
function readAsDc(wire: Buffer): { type: string; dc: number } {
  const stream = createCipheriv('aes-256-ctr', wire.subarray(8, 40), wire.subarray(40, HEAD_BYTES))
  const plain = stream.update(wire)
  return { type: plain.toString('hex', HEAD_BYTES, 60), dc: plain.readInt16LE(60) }
}

/** Draws the rest of the input, then numbers: whatever it begins with, the drawing comes to an end. */
function drawFrom(input: Buffer): (size: number) => Buffer {
  let rest = input
  let draws = 0
  return (size) => {
    const drawn = Buffer.alloc(size, (draws += 1) & 0xff)
    rest.copy(drawn)
    rest = rest.subarray(size)
    assert.ok(draws < 1000)
    return drawn
  }
}

export const frame: Target = {
  name: 'frame',
  inputs: bytes(FRAME_BYTES, 3 * FRAME_BYTES).map((plain) => {
    plain.fill(0xdd, HEAD_BYTES, 60)
    return plain
  }),
  dictionary: [
    'GET ',
    'POST',
    'HEAD',
    'OPTI',
    Buffer.alloc(4, 0xdd),
    Buffer.alloc(4, 0xee),
    Buffer.alloc(8),
    Buffer.of(0xef),
  ],
  maxBytes: 1024,
  limitMs: 100,
  open: () =>
    stateless((input) => {
      const plain = Buffer.alloc(FRAME_BYTES)
      input.copy(plain)
      const accepted = acceptClientFrame(encrypt(plain), SECRET, NODE_CIPHERS)
      assert.equal(accepted.ok, plain.readUInt32LE(HEAD_BYTES) === 0xdddddddd)
      if (!accepted.ok) return assert.equal(accepted.code, 'obfuscated2')
      const wanted = plain.readInt16LE(60)
      const { dc, downKey } = accepted.session
      assert.equal(dc, wanted === 0 ? null : wanted)
      const known = dcCandidates(BUILT_IN_DCS, dc ?? 2, 'prefer-ipv4', 0)
      assert.equal(known.length > 0, Math.abs(dc ?? 2) in BUILT_IN_DCS)

      for (const key of [downKey, null]) {
        const { wire } = greetDc(dc ?? 2, drawFrom(input.subarray(FRAME_BYTES)), key, NODE_CIPHERS)
        assert.deepEqual(readAsDc(wire), { type: 'dddddddd', dc: dc ?? 2 })
        assert.notEqual(wire[0], 0xef)
        assert.ok(!/^(?:GET |POST|HEAD|OPTI)/.test(wire.toString('latin1', 0, 4)))
        assert.notEqual(wire.readUInt32LE(4), 0)
      }
    }),
}
