import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HANDSHAKE_CODES } from '#shared/errors'
import {
  buildHelloImage,
  HELLO_BODY_OFFSET,
  normalizeHost,
  parseClientHello,
  type ClientHelloResult,
} from '#worker/fake-tls/client-hello'
import {
  bytes,
  encodeExtension,
  encodeHelloBody,
  encodeHelloMessage,
  encodeHelloRecords,
  encodeServerNames,
  greaseSuite,
  helloFields,
  type HelloFields,
  u16,
} from '../../support/generators.ts'

const PLAIN: HelloFields = {
  random: Buffer.alloc(32, 7),
  sessionId: Buffer.alloc(32, 0x5a),
  suites: [0x1301],
  compression: Buffer.of(0),
  names: ['example.com'],
  extensions: [],
}

const parseFields = (fields: Partial<HelloFields>): ClientHelloResult =>
  parseClientHello(buildHelloImage(encodeHelloBody({ ...PLAIN, ...fields })))

/** A hello whose only extension is server_name with this content. */
const parseServerName = (data: Buffer): ClientHelloResult =>
  parseFields({ names: null, extensions: [[0, data]] })

function codeOf(result: ClientHelloResult): string {
  return result.ok ? 'ok' : result.code
}

function namesOf(result: ClientHelloResult): readonly string[] {
  assert.ok(result.ok, codeOf(result))
  return result.hello.serverNames
}

test('what a client encodes is what is parsed', () => {
  fc.assert(
    fc.property(helloFields(), (fields) => {
      const body = encodeHelloBody(fields)
      const result = parseClientHello(buildHelloImage(body))
      assert.ok(result.ok)
      const { hello } = result
      assert.deepEqual(hello.image, encodeHelloRecords(encodeHelloMessage(body)))
      assert.deepEqual(hello.random, fields.random)
      assert.deepEqual(hello.sessionId, fields.sessionId)
      assert.equal(
        hello.cipherSuite,
        fields.suites.find((suite) => (suite & 0x0f0f) !== 0x0a0a),
      )
      assert.deepEqual(hello.serverNames, fields.names ?? [])
    }),
  )
})

test('the image of a hello of 64 KiB and more has its length modulo 65536, as the reference signs it', () => {
  const image = buildHelloImage(Buffer.alloc(0x1_0010))
  assert.equal(image.toString('hex', 0, HELLO_BODY_OFFSET), '160301001401010010')
  assert.equal(image.length, HELLO_BODY_OFFSET + 0x1_0010)
})

test('a hello cut short anywhere is malformed, and its parser never looks past the end', () => {
  const body = encodeHelloBody({ ...PLAIN, extensions: [[0x002b, Buffer.of(2, 3, 4)]] })
  for (let length = 0; length < body.length; length++) {
    const cut = body.subarray(0, length) // memory goes on behind it
    assert.equal(codeOf(parseClientHello(buildHelloImage(cut))), 'hello-malformed', `${length} bytes`)
  }
  assert.equal(codeOf(parseClientHello(buildHelloImage(body))), 'ok')
})

test('garbage is answered with a known code and never throws', () => {
  const changed = helloFields().chain((fields) => {
    const body = encodeHelloBody(fields)
    const change = fc.tuple(fc.nat(body.length - 1), fc.nat(255))
    return fc.array(change, { minLength: 1, maxLength: 8 }).map((changes) => {
      for (const [at, value] of changes) body[at] = value
      return body
    })
  })
  fc.assert(
    fc.property(fc.oneof(bytes(0, 300), changed), (body) => {
      const result = parseClientHello(buildHelloImage(body))
      if (!result.ok) assert.ok(HANDSHAKE_CODES.includes(result.code))
    }),
    { numRuns: 1000 },
  )
})

test('the suite chosen is the first one offered that is neither GREASE nor zero', () => {
  fc.assert(
    fc.property(fc.array(greaseSuite(), { maxLength: 20 }), (grease) => {
      assert.equal(codeOf(parseFields({ suites: [...grease, 0] })), 'no-cipher')
      const result = parseFields({ suites: [...grease, 0, 0x1303, 0x1301] })
      assert.ok(result.ok)
      assert.equal(result.hello.cipherSuite, 0x1303)
    }),
  )
  assert.equal(codeOf(parseFields({ suites: [] })), 'no-cipher')
})

test('half a cipher suite is malformed', () => {
  const body = encodeHelloBody(PLAIN)
  const suites = 2 + 32 + 1 + 32
  const odd = Buffer.concat([
    body.subarray(0, suites),
    u16(3),
    Buffer.of(0x13, 0x01, 0x13),
    body.subarray(suites + 4),
  ])
  assert.equal(codeOf(parseClientHello(buildHelloImage(odd))), 'hello-malformed')
})

test('session ids up to 255 bytes are kept whole', () => {
  for (const length of [0, 1, 33, 255]) {
    const sessionId = Buffer.alloc(length, 3)
    const result = parseFields({ sessionId })
    assert.ok(result.ok)
    assert.deepEqual(result.hello.sessionId, sessionId)
  }
})

test('bytes behind the extensions are ignored', () => {
  const body = Buffer.concat([encodeHelloBody(PLAIN), Buffer.alloc(9, 0xff)])
  assert.deepEqual(namesOf(parseClientHello(buildHelloImage(body))), ['example.com'])
})

test('a hello without names has none, which is no error of syntax', () => {
  assert.deepEqual(namesOf(parseFields({ names: null })), [])
  assert.deepEqual(namesOf(parseFields({ names: [] })), [])
})

test('a server_name list of several entries is read as RFC 6066 writes it', () => {
  assert.deepEqual(namesOf(parseFields({ names: ['a.example', 'b.example'] })), ['a.example', 'b.example'])
  const other = Buffer.concat([Buffer.of(0x07), u16(3), Buffer.from('x.y')])
  const host = Buffer.concat([Buffer.of(0x00), u16(3), Buffer.from('a.b')])
  const list = Buffer.concat([other, host])
  assert.deepEqual(namesOf(parseServerName(Buffer.concat([u16(list.length), list]))), ['a.b'])
})

test('only the first server_name extension counts, and what stands behind it is not looked at', () => {
  const first = encodeServerNames(['first.example'])
  const second = encodeServerNames(['second.example'])
  assert.deepEqual(
    namesOf(
      parseFields({
        names: null,
        extensions: [
          [0, first],
          [0, second],
        ],
      }),
    ),
    ['first.example'],
  )
  const broken = Buffer.concat([encodeExtension(0, first), Buffer.of(0x00, 0x2b, 0xff, 0xff)])
  const head = encodeHelloBody({ ...PLAIN, names: null }).subarray(0, -2)
  const body = Buffer.concat([head, u16(broken.length), broken])
  assert.deepEqual(namesOf(parseClientHello(buildHelloImage(body))), ['first.example'])
})

test('a broken server_name extension is malformed', () => {
  const name = Buffer.from('example.com')
  const cases: Record<string, Buffer> = {
    'no list length': Buffer.alloc(0),
    'half a list length': Buffer.of(0),
    'list length below the data': Buffer.concat([u16(2), Buffer.of(0), u16(11), name]),
    'list length above the data': Buffer.concat([u16(99), Buffer.of(0), u16(11), name]),
    'name length above the data': Buffer.concat([u16(14), Buffer.of(0), u16(12), name]),
    'half an entry header': Buffer.concat([u16(2), Buffer.of(0, 0)]),
    'half a second entry': Buffer.concat([u16(15), Buffer.of(0), u16(11), name, Buffer.of(0)]),
  }
  for (const [what, data] of Object.entries(cases)) {
    assert.equal(codeOf(parseServerName(data)), 'hello-malformed', what)
  }
})

test('an extension before the names that does not fit is malformed', () => {
  for (const tail of [Buffer.of(0x00), Buffer.of(0x00, 0x2b, 0x00), Buffer.of(0x00, 0x2b, 0x00, 0x01)]) {
    const head = encodeHelloBody({ ...PLAIN, names: null }).subarray(0, -2)
    const body = Buffer.concat([head, u16(tail.length), tail])
    assert.equal(codeOf(parseClientHello(buildHelloImage(body))), 'hello-malformed')
  }
})

test('names are compared without case and without one trailing dot', () => {
  assert.deepEqual(namesOf(parseFields({ names: ['WwW.Example.COM.'] })), ['www.example.com'])
  assert.equal(normalizeHost('a.'), 'a')
  assert.equal(normalizeHost('a..'), 'a.')
  assert.equal(normalizeHost(''), '')
  assert.equal(normalizeHost('\u00c4.example'), '\u00c4.example', 'only ASCII letters have a case here')
})
