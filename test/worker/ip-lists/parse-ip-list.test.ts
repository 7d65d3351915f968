import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { IpRanges } from '#shared/ip-ranges'
import type { CompiledSource } from '#shared/ip-list'
import { mergeNetworks } from '#worker/ip-lists/merge-networks'
import { MAX_NETWORKS } from '#worker/ip-lists/networks'
import { parseIpList } from '#worker/ip-lists/parse-ip-list'
import compileIpList from '#worker/tasks/compile-ip-list'

function parse(text: string | Uint8Array): CompiledSource & { ranges: IpRanges } {
  const parsed = parseIpList(typeof text === 'string' ? Buffer.from(text) : text)
  assert.ok(parsed.ok)
  return { ...parsed.source, ranges: new IpRanges(mergeNetworks([parsed.source.networks]).ranges) }
}

/** operator.md §9, the fixtures of one source; the others are in test/primary/ip-lists. */
test('fixture: comments, an address, a network and one IPv6 address', () => {
  const { ranges, networkCount, badLineCount } = parse(
    '# a list\n#\n10.0.0.10 # one\n\n  10.1.0.0/24\n2001:db8::7 # last\n# end',
  )
  assert.deepEqual([networkCount, badLineCount], [3, 0])
  for (const address of ['10.0.0.10', '10.1.0.100', '2001:db8::7']) assert.ok(ranges.has(address), address)
  for (const address of ['127.0.0.1', '10.0.0.11', '10.1.1.0', '2001:db8::8'])
    assert.ok(!ranges.has(address), address)
})

test('fixture: a garbage word after comments matches nothing, and says where it stands', () => {
  const { ranges, networkCount, badLines } = parse('# comment\n# comment\ngarbage\n')
  assert.equal(networkCount, 0)
  assert.deepEqual(badLines, [{ line: 3, text: 'garbage' }])
  assert.ok(!ranges.has('10.0.0.10'))
  assert.throws(() => compileIpList({ text: Buffer.from('# x\ngarbage') }), /line 2 is "garbage"/)
})

test('one bad line costs itself alone; the first few are told, all are counted', () => {
  const bad = [
    '10.0.0.0-10.0.0.9',
    '; comment',
    'host.example',
    '<html>',
    '1.2.3',
    '1.2.3.4/33',
    '::/129',
    '1.2.3.4/',
  ]
  const { networkCount, badLineCount, badLines } = parse(`192.0.2.1\n${bad.join('\n')}\n192.0.2.2`)
  assert.deepEqual([networkCount, badLineCount, badLines.length], [2, bad.length, 5])
  assert.deepEqual(badLines[0], { line: 2, text: '10.0.0.0-10.0.0.9' })
})

test('a byte order mark, CRLF, tabs and a last line without an end are no errors', () => {
  const { ranges, networkCount, badLineCount } = parse('\ufeff192.0.2.1\r\n\t192.0.2.2\t#x\r\n \r\n192.0.2.3')
  assert.deepEqual([networkCount, badLineCount], [3, 0])
  for (const last of [1, 2, 3]) assert.ok(ranges.has(`192.0.2.${last}`))
})

test('host bits are masked off, networks that come twice count once', () => {
  const { ranges, networkCount } = parse(
    '10.1.2.3/8\n10.0.0.0/8\n2001:db8::dead/32\n2001:db8::/32\n10.0.0.0/9',
  )
  assert.equal(networkCount, 3)
  assert.ok(ranges.has('10.255.255.255') && ranges.has('2001:db8:ffff::1'))
  assert.ok(!ranges.has('11.0.0.0') && !ranges.has('2001:db9::'))
})

test('mapped networks are IPv4, as are mapped clients; everything means everything', () => {
  const mapped = parse('::ffff:192.0.2.0/120\n::ffff:198.51.100.7')
  assert.ok(mapped.ranges.has('192.0.2.200') && mapped.ranges.has('::ffff:192.0.2.1'))
  assert.ok(mapped.ranges.has('198.51.100.7') && !mapped.ranges.has('198.51.100.8'))
  assert.equal(parse('::ffff:0:0/95').badLineCount, 1)
  const everybody = parse('0.0.0.0/0\n::/0')
  assert.equal(everybody.networkCount, 2)
  for (const address of ['0.0.0.0', '255.255.255.255', '::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'])
    assert.ok(everybody.ranges.has(address), address)
})

test('lines of a megabyte: a comment is a comment, blanks are blanks, and all else is one bad line, shown cut', () => {
  const long = 'x'.repeat(2 ** 20)
  const blanks = ' '.repeat(2 ** 20)
  const text = `192.0.2.1 #${long}\n${long}\n${blanks}192.0.2.2${blanks}\n192.0.2.3`
  const { networkCount, badLineCount, badLines } = parse(text)
  assert.deepEqual([networkCount, badLineCount], [3, 1])
  assert.ok((badLines[0]?.text.length ?? 0) < 50)
})

test('a bad line is shown without what a terminal would obey', () => {
  assert.equal(parse('\u001b[31mred').badLines[0]?.text, '?[31mred')
})

test('whatever bytes come, the parser ends and every good line between them counts', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (pieces) => {
      const junk = pieces.map((piece) => Buffer.from(piece.filter((byte) => byte !== 0x0a)))
      const lines = junk.flatMap((line, at) => [line, Buffer.from(`203.0.113.${at % 256}`)])
      const text = Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]))
      const { ranges } = parse(text)
      for (const at of junk.keys()) assert.ok(ranges.has(`203.0.113.${at % 256}`))
    }),
  )
})

test('more networks than a list may have are refused, not kept', () => {
  const line = Buffer.from('192.0.2.1\n')
  const full = Buffer.alloc(line.length * MAX_NETWORKS, line)
  assert.equal(parse(full).networkCount, 1)
  const parsed = parseIpList(Buffer.concat([full, line]))
  assert.deepEqual(parsed, { ok: false, code: 'too-many-networks' })
  assert.throws(() => compileIpList({ text: Buffer.concat([full, line]) }), /more than 1000000 networks/)
})
