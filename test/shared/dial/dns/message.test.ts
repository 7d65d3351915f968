import assert from 'node:assert/strict'
import { test } from 'node:test'
import dnsPacket from 'dns-packet'
import * as fc from 'fast-check'
import {
  buildQuery,
  isHostName,
  MAX_ADDRESSES,
  MAX_MESSAGE_BYTES,
  parseAnswer,
  type Question,
  readAnswerId,
} from '#shared/dial/dns/message'
import { addressRecord, encodeReply, NXDOMAIN, SERVFAIL, soaRecord } from '../../../support/dns-server.ts'

const ID = 0x1234
const A: Question = { name: 'site.example', type: 'A' }
const asked = { id: ID, name: 'site.example', type: 'A' }

test('a query asks one question, with recursion, and nothing else', () => {
  const query = dnsPacket.decode(buildQuery(ID, A))
  assert.equal(query.id, ID)
  assert.equal(query.type, 'query')
  assert.equal(query.flag_rd, true)
  assert.deepEqual(query.questions, [{ name: 'site.example', type: 'A', class: 'IN' }])
  assert.deepEqual([query.answers, query.authorities, query.additionals], [[], [], []])
})

test('addresses come with the shortest time to live among them', () => {
  const message = encodeReply(asked, {
    answers: [
      addressRecord('site.example', '192.0.2.1', 300),
      addressRecord('SITE.example', '192.0.2.2', 60),
    ],
  })
  assert.deepEqual(parseAnswer(message, ID, A), {
    kind: 'addresses',
    addresses: ['192.0.2.1', '192.0.2.2'],
    ttlMs: 60_000,
  })
})

test('aliases are followed within the answer, in whatever order they stand, and their times count', () => {
  const message = encodeReply(asked, {
    answers: [
      addressRecord('edge.example', '192.0.2.1'),
      { name: 'cdn.example', type: 'CNAME', ttl: 20, data: 'edge.example' },
      { name: 'site.example', type: 'CNAME', ttl: 30, data: 'CDN.example' },
      addressRecord('other.example', '192.0.2.9'),
    ],
  })
  assert.deepEqual(parseAnswer(message, ID, A), {
    kind: 'addresses',
    addresses: ['192.0.2.1'],
    ttlMs: 20_000,
  })
})

test('aliases that lead round and round, or out of the answer, lead to no address', () => {
  const round = encodeReply(asked, {
    answers: [
      { name: 'site.example', type: 'CNAME', ttl: 30, data: 'b.example' },
      { name: 'b.example', type: 'CNAME', ttl: 30, data: 'site.example' },
    ],
  })
  const out = encodeReply(asked, {
    answers: [{ name: 'site.example', type: 'CNAME', ttl: 30, data: 'b.example' }],
    authorities: [soaRecord(60)],
  })
  assert.deepEqual(parseAnswer(round, ID, A), { kind: 'none', exists: true, ttlMs: 0 })
  assert.deepEqual(parseAnswer(out, ID, A), { kind: 'none', exists: true, ttlMs: 60_000 })
})

test('no such name, no such address, a failure and a cut answer are told apart', () => {
  const nowhere = encodeReply(asked, { rcode: NXDOMAIN, authorities: [soaRecord(900, 30)] })
  assert.deepEqual(parseAnswer(nowhere, ID, A), { kind: 'none', exists: false, ttlMs: 30_000 })
  assert.deepEqual(parseAnswer(encodeReply(asked, {}), ID, A), { kind: 'none', exists: true, ttlMs: 0 })
  const failed = encodeReply(asked, { rcode: SERVFAIL })
  assert.deepEqual(parseAnswer(failed, ID, A), { kind: 'failed', rcode: 'SERVFAIL' })
  const full = encodeReply(asked, { answers: [addressRecord('site.example', '192.0.2.1')], truncated: true })
  assert.deepEqual(parseAnswer(full, ID, A), { kind: 'truncated' })
  assert.deepEqual(parseAnswer(full.subarray(0, full.length - 3), ID, A), { kind: 'truncated' })
})

test('the answer to another question is no answer', () => {
  const reply = { answers: [addressRecord('site.example', '192.0.2.1')] }
  const right = encodeReply(asked, reply)
  assert.equal(parseAnswer(right, ID + 1, A), null)
  assert.equal(parseAnswer(right, ID, { name: 'site.example', type: 'AAAA' }), null)
  assert.equal(parseAnswer(right, ID, { name: 'site.example.org', type: 'A' }), null)
  assert.equal(parseAnswer(buildQuery(ID, A), ID, A), null)
  assert.equal(readAnswerId(right), ID)
  assert.equal(readAnswerId(buildQuery(ID, A)), null)
})

test('how much is taken of an answer has limits', () => {
  const many = Array.from({ length: 100 }, (_, at) => addressRecord('site.example', `192.0.2.${at}`))
  const answer = parseAnswer(encodeReply(asked, { answers: many }), ID, A)
  assert.ok(answer?.kind === 'addresses' && answer.addresses.length === MAX_ADDRESSES)
  const aliases = (count: number): Buffer =>
    encodeReply(asked, {
      answers: [
        ...Array.from({ length: count }, (_, at) => ({
          name: at === 0 ? 'site.example' : `alias-${at}.example`,
          type: 'CNAME' as const,
          ttl: 30,
          data: `alias-${at + 1}.example`,
        })),
        addressRecord(`alias-${count}.example`, '192.0.2.1'),
      ],
    })
  assert.equal(parseAnswer(aliases(16), ID, A)?.kind, 'addresses')
  assert.notEqual(parseAnswer(aliases(17), ID, A)?.kind, 'addresses')
  const crowd = (count: number): Buffer =>
    encodeReply(asked, {
      answers: Array.from({ length: count }, () => addressRecord('site.example', '192.0.2.1')),
    })
  assert.equal(parseAnswer(crowd(256), ID, A)?.kind, 'addresses')
  assert.equal(parseAnswer(crowd(257), ID, A), null)
  const claims = encodeReply(asked, {})
  claims.writeUInt16BE(0xffff, 6)
  assert.equal(parseAnswer(claims, ID, A), null)
  const long = Buffer.concat([encodeReply(asked, {}), Buffer.alloc(MAX_MESSAGE_BYTES)])
  assert.equal(parseAnswer(long, ID, A), null)
})

test('whatever comes is an answer or none, and never an exception', () => {
  const real = encodeReply(asked, {
    answers: [
      { name: 'site.example', type: 'CNAME', ttl: 30, data: 'b.example' },
      addressRecord('b.example', '192.0.2.1'),
    ],
    authorities: [soaRecord(60)],
  })
  const kinds = new Set(['addresses', 'none', 'truncated', 'failed', undefined])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const message = Buffer.from(bytes)
      if (message.length > 2) message.writeUInt16BE(ID)
      assert.ok(kinds.has(parseAnswer(message, ID, A)?.kind))
    }),
  )
  // Close to a real one: a few bytes changed, the end cut off.
  const change = fc.tuple(fc.nat(real.length - 1), fc.nat(255))
  fc.assert(
    fc.property(fc.array(change, { maxLength: 4 }), fc.nat(real.length), (changes, length) => {
      const message = Buffer.from(real.subarray(0, length))
      for (const [at, byte] of changes) if (at < message.length) message[at] = byte
      assert.ok(kinds.has(parseAnswer(message, ID, A)?.kind))
    }),
    { numRuns: 500 },
  )
})

/** The answer to `A`'s question with one record behind it, whose name is written as these bytes. */
function withOwner(owner: Buffer): Buffer {
  const message = encodeReply(asked, {})
  message.writeUInt16BE(1, 6)
  const record = Buffer.from('00010001000000 3c0004c0000201'.replace(' ', ''), 'hex')
  return Buffer.concat([message, owner, record])
}

test('names that are compressed round and round, forwards or beyond the end are no answer', () => {
  const start = encodeReply(asked, {}).length
  const pointer = (to: number): Buffer => Buffer.of(0xc0 | (to >> 8), to & 0xff)
  assert.equal(parseAnswer(withOwner(pointer(12)), ID, A)?.kind, 'addresses', 'the question’s own name')
  for (const owner of [
    pointer(start), // itself
    Buffer.concat([Buffer.of(1, 97), pointer(start)]), // a label, and itself again
    pointer(start + 2), // forwards
    Buffer.concat([pointer(start + 2), pointer(start)]), // one at the other
    pointer(0x3fff),
    Buffer.of(0x80, 0), // not assigned
  ])
    assert.equal(parseAnswer(withOwner(owner), ID, A), null, owner.toString('hex'))
})

test('the longest chain of pointers that fits costs no noticeable time', () => {
  const head = encodeReply(asked, {})
  const records = 100
  head.writeUInt16BE(records + 1, 6)
  // A record of a kind nobody knows, full of pointers each of which leads to the one before; then names at its end.
  const body = Buffer.alloc(14_000)
  const bodyAt = head.length + 12
  for (let at = 2; at < body.length; at += 2)
    body.writeUInt16BE(0xc000 | Math.min(0x3fff, bodyAt + at - 2), at)
  const unknown = Buffer.from('c00cff780001000000000000', 'hex')
  unknown.writeUInt16BE(body.length, 10)
  const record = Buffer.alloc(16)
  record.writeUInt16BE(0xc000 | (bodyAt + body.length - 2), 0)
  record.writeUInt16BE(1, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt16BE(4, 10)
  const message = Buffer.concat([head, unknown, body, ...Array.from({ length: records }, () => record)])
  assert.ok(message.length <= MAX_MESSAGE_BYTES)
  const startedMs = performance.now()
  assert.notEqual(parseAnswer(message, ID, A)?.kind, 'addresses')
  assert.ok(performance.now() - startedMs < 5000)
})

test('a time to live of nothing, the longest, and one with the top bit', () => {
  for (const [ttl, seconds] of [
    [0, 0],
    [0x7fff_ffff, 0x7fff_ffff],
    [0x8000_0000, 0],
    [0xffff_ffff, 0],
  ] as const) {
    const answer = parseAnswer(
      encodeReply(asked, { answers: [addressRecord('site.example', '192.0.2.1', ttl)] }),
      ID,
      A,
    )
    assert.ok(answer?.kind === 'addresses' && answer.ttlMs === seconds * 1000, String(ttl))
  }
})

test('addresses survive the way there and back', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: MAX_ADDRESSES }),
      fc.nat(2 ** 31 - 1),
      (ips, ttl) => {
        const answers = ips.map((ip) => addressRecord('site.example', ip, ttl))
        const answer = parseAnswer(encodeReply(asked, { answers }), ID, A)
        assert.deepEqual(answer, { kind: 'addresses', addresses: ips, ttlMs: ttl * 1000 })
      },
    ),
  )
})

test('names that can be asked for', () => {
  for (const name of ['a', 'a.b', '_dmarc.example', 'xn--bcher-kva.example', `${'a'.repeat(63)}.example`])
    assert.ok(isHostName(name), name)
  for (const name of [
    '',
    'a.',
    '.a',
    '-a.example',
    'a-.example',
    'A.example',
    `${'a.'.repeat(127)}a`,
    'a\0b',
  ])
    assert.ok(!isHostName(name), name)
})
