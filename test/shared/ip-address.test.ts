import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { parseIpAddress } from '#shared/ip-address'

/** The bytes that our words stand for. */
function parse(text: string): { family: number; bytes: number[] } {
  const words = new Uint32Array(4)
  const family = parseIpAddress(text, words)
  const view = new DataView(new ArrayBuffer(16))
  words.forEach((word, at) => view.setUint32(4 * at, word))
  return { family, bytes: [...new Uint8Array(view.buffer, 0, family === 6 ? 16 : family)] }
}

test('IPv4 and IPv6 are read as another library reads them, mapped IPv6 as IPv4', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      // The library takes `::a.b.c.d` for a mapped address: what a URL makes of it has no dots.
      const plain = text.includes(':') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text
      const address = ipaddr.process(plain)
      const expected = address.toByteArray()
      assert.deepEqual(parse(text), { family: expected.length === 4 ? 4 : 6, bytes: expected })
      assert.deepEqual(parse(address.toString()), parse(text))
    }),
    { numRuns: 2000 },
  )
})

test('every short spelling of the same groups is the same address', () => {
  const group = fc.oneof(fc.constant(0), fc.nat(0xffff))
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.boolean(), (groups, upper) => {
      const long = groups.map((value) => value.toString(16).padStart(4, '0')).join(':')
      const short = ipaddr.IPv6.parse(long).toString()
      assert.deepEqual(parse(upper ? short.toUpperCase() : short), parse(long))
    }),
  )
})

test('what Node does not take for an address is none, and the other way round', () => {
  const piece = fc.constantFrom(
    '::',
    ':',
    '.',
    '0',
    '1',
    '255',
    '256',
    '01',
    'f',
    'ffff',
    'fffff',
    'g',
    '1.2.3.4',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join('')
      const expected = isIP(text)
      const { family } = parse(text)
      assert.equal(family !== 0, expected !== 0, text)
      if (expected === 4) assert.equal(family, 4)
    }),
    { numRuns: 20_000 },
  )
})

test('mapped addresses in both spellings are IPv4, neighbours of theirs are not', () => {
  const plain = parse('192.0.2.7')
  for (const text of ['::ffff:192.0.2.7', '::FFFF:c000:207', '0:0:0:0:0:ffff:c000:0207'])
    assert.deepEqual(parse(text), plain, text)
  for (const text of ['::192.0.2.7', '::fffe:192.0.2.7', '1::ffff:192.0.2.7', '64:ff9b::192.0.2.7'])
    assert.equal(parse(text).family, 6, text)
})

test('zones, brackets, blanks and prefixes are no part of an address', () => {
  for (const text of [
    '',
    'fe80::1%eth0',
    '[::1]',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '10.0.0.0/8',
    '1.2.3',
    '1.2.3.4.5',
    '٣.1.1.1',
  ])
    assert.equal(parse(text).family, 0, text)
})
