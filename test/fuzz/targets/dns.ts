import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import dnsPacket from 'dns-packet'
import * as fc from 'fast-check'
import {
  buildQuery,
  isHostName,
  MAX_ADDRESSES,
  MAX_MESSAGE_BYTES,
  parseAnswer,
  readAnswerId,
} from '#shared/dial/dns/message'
import { addressRecord, encodeReply, NXDOMAIN, SERVFAIL, soaRecord } from '../../support/dns-server.ts'
import { stateless, type Target } from '../target.ts'

const NAME = 'site.example'
const MAX_TTL_MS = 0x7fff_ffff * 1000

const replies = (): fc.Arbitrary<Buffer> =>
  fc
    .record({
      type: fc.constantFrom('A' as const, 'AAAA' as const),
      addresses: fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 6 }),
      alias: fc.boolean(),
      rcode: fc.constantFrom(0, NXDOMAIN, SERVFAIL),
      ttl: fc.nat(100_000),
    })
    .map(({ type, addresses, alias, rcode, ttl }) => {
      const owner = alias ? 'edge.example' : NAME
      const aliases = alias ? [{ name: NAME, type: 'CNAME' as const, ttl, data: owner }] : []
      return encodeReply(
        { id: 0x1234, name: NAME, type },
        {
          rcode,
          answers: [...aliases, ...addresses.map((address) => addressRecord(owner, address, ttl))],
          authorities: [soaRecord(ttl)],
        },
      )
    })

export const dns: Target = {
  name: 'dns',
  inputs: replies(),
  dictionary: [
    Buffer.of(0xc0, 0x0c),
    Buffer.of(0xc0, 0),
    Buffer.of(0, 1, 0, 1),
    Buffer.of(0, 0x1c, 0, 1),
    Buffer.of(0, 5, 0, 1),
    Buffer.of(0, 41),
    Buffer.of(0, 16),
    Buffer.of(0x84, 0),
    Buffer.of(0x82, 0),
    Buffer.from('\x04site\x07example\0', 'latin1'),
    Buffer.alloc(64, 1),
  ],
  libraries: ['dns-packet'],
  maxBytes: MAX_MESSAGE_BYTES + 100,
  limitMs: 150,
  open: () =>
    stateless((input) => {
      const id = readAnswerId(input)
      if (id === null) assert.ok(input.length < 12 || (input[2]! & 0x80) === 0)
      for (const type of ['A', 'AAAA'] as const) {
        const answer = parseAnswer(input, id ?? 0, { name: NAME, type })
        if (answer?.kind === 'addresses') {
          assert.ok(answer.addresses.length >= 1 && answer.addresses.length <= MAX_ADDRESSES)
          for (const address of answer.addresses) assert.equal(isIP(address), type === 'A' ? 4 : 6)
        }
        if (answer !== null && 'ttlMs' in answer) assert.ok(answer.ttlMs >= 0 && answer.ttlMs <= MAX_TTL_MS)
        if (answer?.kind === 'failed') assert.match(answer.rcode, /^[A-Z0-9_]{1,20}$/)
      }
      const name = input.toString('latin1').toLowerCase()
      if (!isHostName(name)) return
      assert.equal(dnsPacket.decode(buildQuery(7, { name, type: 'A' })).questions?.[0]?.name, name)
    }),
}
