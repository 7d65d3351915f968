import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { HostPort } from '#shared/dc'
import { Socks5Negotiation } from '#shared/dial/socks5'
import { BugError } from '#shared/errors'

const NOBODY = { username: null, password: null }
const ANNA = { username: 'anna', password: 'hunter2' }
const DC: HostPort = { host: '149.154.167.51', port: 443 }
const REPLY = Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 4, 56)
const hex = (bytes: Buffer): string => bytes.toString('hex')

test('without credentials: greeting, request, open', () => {
  const negotiation = new Socks5Negotiation(NOBODY, DC)
  assert.equal(hex(negotiation.start()), '050100')
  assert.equal(hex(negotiation.push(Buffer.of(5, 0))), '0501000195 9aa733 01bb'.replaceAll(' ', ''))
  assert.equal(negotiation.push(REPLY).length, 0)
  assert.equal(negotiation.stage, 'open')
  assert.equal(negotiation.takeRest().length, 0)
})

test('with credentials: they are offered, and sent when the server asks for them', () => {
  const negotiation = new Socks5Negotiation(ANNA, DC)
  assert.equal(hex(negotiation.start()), '05020002')
  const credentials = negotiation.push(Buffer.of(5, 2))
  assert.equal(String(credentials), '\x01\x04anna\x07hunter2')
  assert.equal(hex(negotiation.push(Buffer.of(1, 0))).slice(0, 8), '05010001')
  assert.equal(negotiation.stage, 'request')

  const waved = new Socks5Negotiation(ANNA, DC)
  waved.start()
  assert.equal(hex(waved.push(Buffer.of(5, 0))).slice(0, 8), '05010001', 'the server does not ask')
  const noPassword = new Socks5Negotiation({ username: 'anna', password: null }, DC)
  noPassword.start()
  assert.equal(String(noPassword.push(Buffer.of(5, 2))), '\x01\x04anna\x00')
})

test('a target is asked for as an address or by its name', () => {
  const ask = (host: string): string => {
    const negotiation = new Socks5Negotiation(NOBODY, { host, port: 258 })
    negotiation.start()
    return hex(negotiation.push(Buffer.of(5, 0)))
  }
  assert.equal(ask('1.2.3.4'), '05010001010203040102')
  assert.equal(ask('2001:db8::1'), '0501000420010db80000000000000000000000010102')
  assert.equal(ask('::ffff:1.2.3.4'), '0501000400000000000000000000ffff010203040102')
  assert.equal(ask('a.example'), `0501000309${Buffer.from('a.example').toString('hex')}0102`)
  assert.throws(() => ask('a'.repeat(256)), BugError)
})

const FAILURES: readonly (readonly [
  string,
  typeof ANNA | typeof NOBODY,
  readonly Buffer[],
  string,
  RegExp,
])[] = [
  ['another protocol', NOBODY, [Buffer.from('HTTP/1.1 400')], 'upstream', /does not speak SOCKS5/],
  ['SOCKS4', NOBODY, [Buffer.of(0, 90)], 'upstream', /does not speak SOCKS5/],
  ['credentials wanted', NOBODY, [Buffer.of(5, 0xff)], 'upstream', /wants a user name/],
  ['credentials not wanted', ANNA, [Buffer.of(5, 0xff)], 'upstream', /authentication refused/],
  ['a method that was not offered', NOBODY, [Buffer.of(5, 2)], 'upstream', /not offered/],
  ['GSSAPI', ANNA, [Buffer.of(5, 1)], 'upstream', /not offered/],
  ['wrong password', ANNA, [Buffer.of(5, 2), Buffer.of(1, 1)], 'upstream', /authentication refused/],
  ['garbage after the password', ANNA, [Buffer.of(5, 2), Buffer.of(5, 0)], 'upstream', /protocol of auth/],
  ['garbage as reply', NOBODY, [Buffer.of(5, 0), Buffer.of(4, 0)], 'upstream', /broke the protocol/],
  [
    'no kind of address',
    NOBODY,
    [Buffer.of(5, 0), Buffer.of(5, 0, 0, 9, 0)],
    'upstream',
    /broke the protocol/,
  ],
  ...(
    [
      [1, 'upstream', /general failure/],
      [2, 'upstream', /not allowed/],
      [3, 'unreachable', /network unreachable/],
      [4, 'unreachable', /host unreachable/],
      [5, 'refused', /connection refused/],
      [6, 'unreachable', /time to live/],
      [7, 'upstream', /command/],
      [8, 'unreachable', /kind of address/],
      [0x77, 'upstream', /unknown reply 119/],
    ] as const
  ).map(
    ([code, expected, reason]) =>
      [`reply ${code}`, NOBODY, [Buffer.of(5, 0), Buffer.of(5, code)], expected, reason] as const,
  ),
]

for (const [name, account, answers, code, reason] of FAILURES) {
  test(`${name} ends the negotiation with its reason`, () => {
    const negotiation = new Socks5Negotiation(account, DC)
    negotiation.start()
    for (const answer of answers) negotiation.push(answer)
    assert.equal(negotiation.stage, 'failed')
    assert.equal(negotiation.failure?.code, code)
    assert.match(negotiation.failure?.reason ?? '', reason)
    assert.doesNotMatch(JSON.stringify(negotiation.failure), /anna|hunter2/)
    assert.equal(negotiation.push(REPLY).length, 0, 'nothing more is said')
    assert.throws(() => negotiation.takeRest(), BugError)
  })
}

test('however the answers are cut, they mean the same, and what is behind them is kept', () => {
  const addresses = fc.oneof(
    fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => Buffer.of(1, ...bytes)),
    fc.uint8Array({ minLength: 18, maxLength: 18 }).map((bytes) => Buffer.of(4, ...bytes)),
    fc.uint8Array({ maxLength: 255 }).map((name) => Buffer.of(3, name.length, ...name, 0, 80)),
  )
  fc.assert(
    fc.property(
      addresses,
      fc.boolean(),
      fc.uint8Array(),
      fc.infiniteStream(fc.nat(9)),
      (at, asks, rest, cuts) => {
        const wire = Buffer.concat([
          asks ? Buffer.of(5, 2, 1, 0) : Buffer.of(5, 0),
          Buffer.of(5, 0, 0),
          at,
          Buffer.from(rest),
        ])
        const negotiation = new Socks5Negotiation(ANNA, DC)
        negotiation.start()
        const sent: Buffer[] = []
        let taken = 0
        while (negotiation.stage !== 'open') {
          const chunk = Buffer.from(wire.subarray(taken, taken + 1 + cuts.next().value))
          taken += chunk.length
          sent.push(negotiation.push(chunk))
          chunk.fill(0xdb) // its memory is read into again
          assert.ok(negotiation.stage !== 'failed' && taken <= wire.length)
        }
        const kept = Buffer.concat([negotiation.takeRest(), wire.subarray(taken)])
        assert.deepEqual(kept, Buffer.from(rest))
        const credentials = asks ? '0104616e6e610768756e74657232' : ''
        assert.equal(hex(Buffer.concat(sent)), `${credentials}05010001959aa73301bb`)
      },
    ),
  )
})

test('whatever a server says, the negotiation waits, opens or fails', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
      const negotiation = new Socks5Negotiation(ANNA, DC)
      negotiation.start()
      for (const chunk of chunks) negotiation.push(Buffer.from(chunk))
      assert.equal(negotiation.failure === null, negotiation.stage !== 'failed')
    }),
  )
})
