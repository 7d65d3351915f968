import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { Socks5Negotiation } from '#shared/dial/socks5'
import { DIAL_CODES } from '#shared/errors'
import { bytes, cutAt } from '../../support/generators.ts'
import { cutsOf, stateless, type Target } from '../target.ts'

const USER = 'user'
const PASSWORD = 'pw-of-the-server'
/** Greeting, user name and password, request: more is never said. */
const MAX_SAID_BYTES = 4 + (3 + USER.length + PASSWORD.length) + (4 + 1 + 12 + 2)
const TARGET = { host: 'site.example', port: 443 }

const replies = (): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.constantFrom([5, 0], [5, 2, 1, 0], [5, 2, 1, 1], [5, 255], [4, 0]),
      fc.oneof(
        fc.constant(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)),
        bytes(18).map((rest) => Buffer.concat([Buffer.of(5, 0, 0, 4), rest])),
        bytes(0, 255).map((name) =>
          Buffer.concat([Buffer.of(5, 0, 0, 3, name.length), name, Buffer.of(1, 187)]),
        ),
        fc.nat(12).map((code) => Buffer.of(5, code)),
      ),
      bytes(0, 40),
    )
    .map(([method, reply, rest]) => Buffer.concat([Buffer.from(method), reply, rest]))

interface Outcome {
  readonly stage: string
  readonly failure: unknown
  readonly said: Buffer
  readonly rest: Buffer | null
}

function negotiate(chunks: readonly Buffer[], username: string | null): Outcome {
  const negotiation = new Socks5Negotiation(
    { username, password: username === null ? null : PASSWORD },
    TARGET,
  )
  const said = [negotiation.start(), ...chunks.map((chunk) => negotiation.push(chunk))]
  const { stage, failure } = negotiation
  return {
    stage,
    failure,
    said: Buffer.concat(said),
    rest: stage === 'open' ? Buffer.from(negotiation.takeRest()) : null,
  }
}

export const socks5: Target = {
  name: 'socks5',
  inputs: replies(),
  dictionary: [
    Buffer.of(5, 0),
    Buffer.of(5, 2),
    Buffer.of(1, 0),
    Buffer.of(5, 0, 0, 1),
    Buffer.of(5, 0, 0, 3, 255),
    Buffer.of(5, 0, 0, 4),
  ],
  maxBytes: 2048,
  limitMs: 100,
  open: () =>
    stateless((input) => {
      for (const username of [null, USER]) {
        const whole = negotiate([input], username)
        assert.deepEqual(negotiate(cutAt(input, cutsOf(input)), username), whole)
        assert.ok(whole.said.length <= MAX_SAID_BYTES)
        assert.equal(whole.failure !== null, whole.stage === 'failed')
        if (whole.rest !== null)
          assert.ok(input.subarray(input.length - whole.rest.length).equals(whole.rest))
        if (whole.failure === null) continue
        const { code, reason } = whole.failure as { code: (typeof DIAL_CODES)[number]; reason: string }
        assert.ok(DIAL_CODES.includes(code))
        assert.ok(!reason.includes(PASSWORD))
      }
    }),
}
