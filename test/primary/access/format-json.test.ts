import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'

import { formatJson, type JsonValue } from '#primary/access/format-json'

test('keys that look like numbers keep their place, and names may be anything', () => {
  const value = new Map<string, JsonValue>([
    ['9', 1],
    ['10', [true, null]],
    ['__proto__', 'a&b'],
    ['пётр "x"', new Map()],
    ['e', []],
  ])
  assert.equal(
    formatJson(value),
    `{
  "9": 1,
  "10": [
    true,
    null
  ],
  "__proto__": "a&b",
  "пётр \\"x\\"": {},
  "e": []
}
`,
  )
})

test('without such keys the text is that of JSON.stringify', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      // Parsed once, so that keys are in the order in which an object has them.
      const plain: unknown = JSON.parse(JSON.stringify(value))
      assert.equal(formatJson(toMaps(plain)), `${JSON.stringify(plain, null, 2)}\n`)
    }),
  )
})

function toMaps(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(toMaps)
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([key, member]) => [key, toMaps(member)]))
  return value as JsonValue // what is left of JSON are the primitives
}
