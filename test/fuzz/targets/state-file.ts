import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { addTotals, formatTotals, parseTotals } from '#primary/state-file/totals'
import { stateless, type Target } from '../target.ts'

const count = (): fc.Arbitrary<number> => fc.oneof(fc.nat(), fc.maxSafeNat())
const MORE = { bytesIn: 123_456, bytesOut: 7, lastSeenMs: 1_700_000_000_000 }

const files = (): fc.Arbitrary<Buffer> =>
  fc
    .array(
      fc.tuple(
        fc.string({ maxLength: 20 }),
        fc.record({
          bytesIn: count(),
          bytesOut: count(),
          lastSeenMs: fc.option(fc.integer({ min: 1, max: 4_000_000_000_000 })),
        }),
      ),
      { maxLength: 8 },
    )
    .map((users) => Buffer.from(formatTotals(new Map(users))))

export const stateFile: Target = {
  name: 'state-file',
  inputs: files(),
  dictionary: [
    '"version":1',
    '"users":[',
    '{"name":"',
    '"bytes_in":',
    '"bytes_out":',
    '"last_seen":null',
    '"__proto__"',
    '9007199254740991',
    '-0',
    '1e3',
    '"+275760-09-13T00:00:00.000Z"',
    '"-000001-01-01T00:00:00Z"',
  ],
  maxBytes: 16_384,
  limitMs: 100,
  open: () =>
    stateless((input) => {
      const totals = parseTotals(input.toString())
      if (totals === null) return
      assert.deepEqual(parseTotals(formatTotals(totals)), totals)
      // What we write we have to be able to read again.
      const later = new Map(Array.from(totals, ([name, was]) => [name, addTotals(was, MORE)]))
      assert.deepEqual(parseTotals(formatTotals(later)), later)
    }),
}
