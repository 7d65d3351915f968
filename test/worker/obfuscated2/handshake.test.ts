import assert from 'node:assert/strict'
import { createCipheriv, createHash, randomBytes, type Cipheriv } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { BugError } from '#shared/errors'
import { FRAME_BYTES, isReservedPrefix } from '#worker/obfuscated2/frame'
import type { Ciphers, CtrStream } from '#worker/obfuscated2/ctr-stream'
import { acceptClientFrame, greetDc, type ClientSession } from '#worker/obfuscated2/handshake'
import { NodeCiphers } from '#worker/obfuscated2/node-ciphers'
import { bytes, cutAt, cuts, secretKey } from '../../support/generators.ts'

const NODE_CIPHERS = new NodeCiphers()
const KEY = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')
/** wire.md §5.3 */
const PLAIN = Buffer.from(Uint8Array.from({ length: 64 }, (_, index) => 7 * index + 1))
const KNOWN_FRAME = Buffer.from(
  '01080f161d242b323940474e555c636a71787f868d949ba2a9b0b7bec5ccd3da' +
    'e1e8eff6fd040b121920272e353c434a51585f666d747b8257db92e7c36f2e16',
  'hex',
)
const dcNumber = (): fc.Arbitrary<number> => fc.integer({ min: -32_768, max: 32_767 })

interface Peer {
  /** What goes to the other side. */
  send: Cipheriv
  /** What comes from it. */
  receive: Cipheriv
}

const ctr = (key: Uint8Array, iv: Uint8Array): Cipheriv => createCipheriv('aes-256-ctr', key, iv)
const backwards = (part: Buffer): Buffer => Buffer.from(part.toReversed())

/** A client's side of wire.md §5.1: the secret is mixed into both keys. */
function greetAsClient(noise: Buffer, secret: Uint8Array, dc: number): Peer & { wire: Buffer } {
  const mix = (key: Buffer): Buffer => createHash('sha256').update(key).update(secret).digest()
  const plain = Buffer.from(noise)
  plain.fill(0xdd, 56, 60)
  plain.writeInt16LE(dc, 60)
  const reversed = backwards(plain.subarray(8, 56))
  const send = ctr(mix(plain.subarray(8, 40)), plain.subarray(40, 56))
  const receive = ctr(mix(reversed.subarray(0, 32)), reversed.subarray(32))
  const encrypted = send.update(plain)
  return { send, receive, wire: Buffer.concat([plain.subarray(0, 56), encrypted.subarray(56)]) }
}

/** A data centre's side of wire.md §5.2: what it makes of the 64 bytes it gets. */
function acceptAsDc(wire: Buffer): Peer & { type: string; dc: number } {
  const reversed = backwards(wire.subarray(8, 56))
  const receive = ctr(wire.subarray(8, 40), wire.subarray(40, 56))
  const plain = receive.update(wire)
  return {
    receive,
    send: ctr(reversed.subarray(0, 32), reversed.subarray(32)),
    type: plain.toString('hex', 56, 60),
    dc: plain.readInt16LE(60),
  }
}

/** What a stream of ours makes of `input`, which stays as it is. */
function transform(stream: CtrStream, input: Buffer): Buffer {
  const output = Buffer.alloc(input.length)
  stream.transform(input, output, 0)
  return output
}

function accept(wire: Buffer, secret: Uint8Array): ClientSession {
  const accepted = acceptClientFrame(wire, secret, NODE_CIPHERS)
  assert.ok(accepted.ok)
  return accepted.session
}

test('the known answer from a client', () => {
  const { dc, up, downKey } = accept(KNOWN_FRAME, KEY)
  assert.equal(dc, -2)
  assert.equal(String(transform(up, Buffer.from('959a7411', 'hex'))), 'ping')
  assert.equal(ctr(downKey.key, downKey.iv).update(Buffer.from('pong')).toString('hex'), 'cda4a27b')
})

test('the known answer to a data centre', () => {
  const { wire, up } = greetDc(4, () => Buffer.from(PLAIN), null, NODE_CIPHERS)
  assert.equal(wire.toString('hex', 56), '6d0064bcd4adf691')
  assert.deepEqual(wire.subarray(0, 56), PLAIN.subarray(0, 56), 'bytes 0 to 55 cross in the clear')
  assert.equal(transform(up, Buffer.from('ping')).toString('hex'), '93a9bc32')
})

test('what a client sends, cut anywhere, is what comes out, and what goes to it is what it reads', () => {
  const cases = bytes(0, 400).chain((sent) =>
    fc.record({
      noise: bytes(FRAME_BYTES),
      secret: secretKey(),
      dc: dcNumber(),
      sent: fc.constant(sent),
      positions: cuts(sent.length),
    }),
  )
  fc.assert(
    fc.property(cases, ({ noise, secret, dc, sent, positions }) => {
      const client = greetAsClient(noise, secret, dc)
      const session = accept(client.wire, secret)
      assert.equal(session.dc, dc === 0 ? null : dc)
      const encrypted = client.send.update(sent)
      assert.deepEqual(
        Buffer.concat(cutAt(encrypted, positions).map((part) => transform(session.up, part))),
        sent,
      )
      const down = NODE_CIPHERS.open(session.downKey)
      const answered = Buffer.concat(cutAt(sent, positions).map((part) => transform(down, part)))
      assert.deepEqual(client.receive.update(answered), sent)
    }),
  )
})

test('a frame made with another secret, or by nobody, is refused with its code and never throws', () => {
  fc.assert(
    fc.property(bytes(FRAME_BYTES), secretKey(), secretKey(), (noise, secret, other) => {
      fc.pre(!secret.equals(other))
      assert.deepEqual(acceptClientFrame(greetAsClient(noise, other, 2).wire, secret, NODE_CIPHERS), {
        ok: false,
        code: 'obfuscated2',
      })
      assert.deepEqual(acceptClientFrame(noise, secret, NODE_CIPHERS), { ok: false, code: 'obfuscated2' })
    }),
  )
})

test('a refused frame leaves no stream open, an accepted one the way up alone', () => {
  const ciphers = new NodeCiphers()
  const { wire } = greetAsClient(Buffer.alloc(FRAME_BYTES, 7), KEY, 2)
  assert.equal(acceptClientFrame(wire, Buffer.alloc(KEY.length, 1), ciphers).ok, false)
  assert.equal(ciphers.openStreams, 0)
  assert.equal(acceptClientFrame(wire, KEY, ciphers).ok, true)
  assert.equal(ciphers.openStreams, 1)
})

test('ciphers that fail in the middle of a frame leave no stream open', () => {
  const ciphers = new NodeCiphers()
  const failing: Ciphers = {
    name: 'node',
    openStreams: 0,
    open: (key) => {
      const stream = ciphers.open(key)
      const transform = (): never => {
        throw new BugError('OpenSSL wrote 0 of 64 bytes')
      }
      return { transform, close: () => stream.close() }
    },
    closeAll: () => {},
  }
  const { downKey } = accept(KNOWN_FRAME, KEY)
  for (const key of [null, downKey]) assert.throws(() => greetDc(2, randomBytes, key, failing), BugError)
  assert.throws(() => acceptClientFrame(KNOWN_FRAME, KEY, failing), BugError)
  assert.equal(ciphers.openStreams, 0)
})

test('a greeting leaves the way up open alone, in either mode', () => {
  const { downKey } = accept(KNOWN_FRAME, KEY)
  for (const key of [null, downKey]) {
    const ciphers = new NodeCiphers()
    greetDc(2, randomBytes, key, ciphers).up.close()
    assert.equal(ciphers.openStreams, 0)
  }
})

test('a data centre reads our frame, learns its number with its sign, and both directions work', () => {
  fc.assert(
    fc.property(dcNumber(), bytes(1, 200), (dc, sent) => {
      const ours = greetDc(dc, randomBytes, null, NODE_CIPHERS)
      assert.equal(ours.wire.length, FRAME_BYTES)
      const theirs = acceptAsDc(ours.wire)
      assert.deepEqual([theirs.type, theirs.dc], ['dddddddd', dc])
      assert.deepEqual(theirs.receive.update(transform(ours.up, sent)), sent)
      assert.deepEqual(transform(NODE_CIPHERS.open(ours.downKey), theirs.send.update(sent)), sent)
    }),
  )
})

test('in fast mode a data centre by the book encrypts what the client itself decrypts', () => {
  fc.assert(
    fc.property(bytes(FRAME_BYTES), secretKey(), dcNumber(), bytes(1, 500), (noise, secret, dc, sent) => {
      const client = greetAsClient(noise, secret, dc)
      const session = accept(client.wire, secret)
      const ours = greetDc(dc, randomBytes, session.downKey, NODE_CIPHERS)
      assert.deepEqual(ours.downKey, session.downKey, 'nothing is left for us to decrypt')
      const theirs = acceptAsDc(ours.wire)
      assert.deepEqual([theirs.type, theirs.dc], ['dddddddd', dc])
      assert.deepEqual(client.receive.update(theirs.send.update(sent)), sent)
      const up = transform(ours.up, transform(session.up, client.send.update(sent)))
      assert.deepEqual(theirs.receive.update(up), sent)
    }),
  )
})

test('no frame begins as another transport does, in either mode', () => {
  const { downKey } = accept(KNOWN_FRAME, KEY)
  for (let draw = 0; draw < 3000; draw++) {
    const { wire } = greetDc(2, randomBytes, draw % 2 === 0 ? downKey : null, NODE_CIPHERS)
    assert.equal(isReservedPrefix(wire), false)
    assert.notEqual(wire[0], 0xef)
  }
})

test('a random source that yields reserved beginnings first is drawn from until it yields another', () => {
  const reserved = [
    'efaaaaaaaaaaaaaa',
    '48454144aaaaaaaa',
    '1603010201010101',
    'aaaaaaaa00000000',
    'eeeeeeeeaaaaaaaa',
  ]
  const { downKey } = accept(KNOWN_FRAME, KEY)
  for (const key of [null, downKey]) {
    const draws = [...reserved, '0123456789abcdef', 'ffffffffffffffff']
    const sizes: number[] = []
    const rigged = (size: number): Buffer => {
      sizes.push(size)
      return Buffer.concat([Buffer.from(draws.shift() ?? '', 'hex'), Buffer.alloc(56, 9)]).subarray(0, size)
    }
    const { wire } = greetDc(-3, rigged, key, NODE_CIPHERS)
    assert.equal(wire.toString('hex', 0, 8), '0123456789abcdef')
    assert.equal(sizes.length, reserved.length + 1)
    assert.equal(acceptAsDc(wire).dc, -3)
  }
})

test('two frames for one client have keys of their own towards the data centre', () => {
  const frames = [greetDc(2, randomBytes, null, NODE_CIPHERS), greetDc(2, randomBytes, null, NODE_CIPHERS)]
  assert.notDeepEqual(frames[0]?.wire.subarray(8, 56), frames[1]?.wire.subarray(8, 56))
})
