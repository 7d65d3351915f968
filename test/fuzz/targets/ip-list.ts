import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { IpRanges } from '#shared/ip-ranges'
import { mergeNetworks } from '#worker/ip-lists/merge-networks'
import { parseIpList } from '#worker/ip-lists/parse-ip-list'
import { bytes } from '../../support/generators.ts'
import { stateless, type Target } from '../target.ts'

const MAX_BAD_LINES = 5
/** Stands in front of the input and has to be found whatever follows. */
const GOOD = '203.0.113.77'

const line = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.tuple(fc.ipV4(), fc.nat(33)).map(([ip, prefix]) => `${ip}/${prefix}`),
    fc.tuple(fc.ipV6(), fc.nat(129)).map(([ip, prefix]) => `${ip}/${prefix}`),
    fc.tuple(fc.ipV4(), fc.string()).map(([ip, comment]) => ` ${ip}\t#${comment}`),
    bytes(0, 60).map((junk) => junk.toString('latin1')),
  )

export const ipList: Target = {
  name: 'ip-list',
  inputs: fc
    .tuple(fc.array(line(), { maxLength: 30 }), fc.constantFrom('\n', '\r\n'))
    .map(([lines, end]) => Buffer.from(lines.join(end), 'latin1')),
  dictionary: [
    '0.0.0.0/0',
    '::/0',
    '::ffff:0:0/96',
    '::ffff:1.2.3.4',
    '255.255.255.255',
    'ffff:'.repeat(7) + 'ffff/128',
    '/0',
    '/128',
    '#',
    '\r\n',
    '::',
    '%1',
    '1.2.3.4/',
  ],
  maxBytes: 65_536,
  limitMs: 250,
  open: () =>
    stateless((input) => {
      const parsed = parseIpList(Buffer.concat([Buffer.from(`${GOOD}\n`), input]))
      assert.ok(parsed.ok)
      const { networks, networkCount, badLineCount, badLines } = parsed.source
      assert.ok(networkCount >= 1)
      assert.equal(badLines.length, Math.min(badLineCount, MAX_BAD_LINES))
      for (const { text } of badLines) assert.match(text, /^[ -~]{0,40}…?$/)
      const merged = mergeNetworks([networks, networks])
      assert.equal(merged.networkCount, networkCount)
      assert.ok(merged.rangeCount <= networkCount)
      const ranges = new IpRanges(merged.ranges)
      assert.ok(ranges.has(GOOD))
      for (const text of input.toString('latin1').split(/[\n#/]/)) ranges.has(text)
    }),
}
