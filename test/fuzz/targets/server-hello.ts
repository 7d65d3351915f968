import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { buildServerFlight } from '#worker/fake-tls/server-hello'
import { parseServerHello } from '#worker/tasks/server-hello-facts'
import { bytes, encodeExtension } from '../../support/generators.ts'
import { stateless, type Target } from '../target.ts'

const extension = (): fc.Arbitrary<Buffer> =>
  fc.oneof(
    fc.constant(encodeExtension(0x2b, Buffer.of(3, 4))),
    bytes(34).map((share) => encodeExtension(0x33, share)),
    fc.tuple(fc.nat(0xffff), bytes(0, 20)).map(([type, data]) => encodeExtension(type, data)),
  )

const messages = (): fc.Arbitrary<Buffer> =>
  fc
    .tuple(bytes(0, 32), fc.array(extension(), { maxLength: 6 }), bytes(0, 30))
    .map(([sessionId, list, behind]) => {
      const extensions = Buffer.concat(list)
      const body = Buffer.concat([
        Buffer.of(3, 3),
        Buffer.alloc(32, 1),
        Buffer.of(sessionId.length),
        sessionId,
        Buffer.of(0x13, 1, 0, extensions.length >> 8, extensions.length & 0xff),
        extensions,
      ])
      return Buffer.concat([Buffer.of(2, 0, body.length >> 8, body.length & 0xff), body, behind])
    })

export const serverHello: Target = {
  name: 'server-hello',
  inputs: messages(),
  dictionary: [
    Buffer.of(2, 0, 0),
    Buffer.of(0, 0x33, 0, 0x24),
    Buffer.of(0, 0x2b, 0, 2, 3, 4),
    Buffer.of(0x11, 0xec),
  ],
  maxBytes: 8192,
  limitMs: 100,
  open: () =>
    stateless((input) => {
      const facts = parseServerHello(input)
      if (facts === null) return
      assert.ok(facts.extensions.length <= input.length / 4)
      assert.ok(facts.extensions.includes(0x33))
      // What a site says decides what we answer: it has to be a flight of the usual size all the same.
      const flight = buildServerFlight({
        key: Buffer.alloc(16, 1),
        clientRandom: Buffer.alloc(32),
        sessionId: Buffer.alloc(32),
        cipherSuite: facts.cipherSuite,
        keyShare: { group: facts.group, key: Buffer.alloc(32) },
        extensions: facts.extensions,
        noise: Buffer.alloc(100),
      })
      assert.equal(flight.length, 5 + 4 + 2 + 32 + 1 + 32 + 2 + 1 + 2 + 6 + 40 + 6 + 105)
    }),
}
