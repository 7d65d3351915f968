import assert from 'node:assert/strict'
import { test } from 'node:test'

import { findKeyLines } from '#primary/config/key-lines'
import * as fc from 'fast-check'
import { parse, stringify } from 'smol-toml'

test('keys are found behind strings, arrays and comments that look like keys', () => {
  const text = [
    '# a = 1', // 1
    'a = """', // 2
    'b = 2 # [no]', // 3
    '""" # c = 3', // 4
    "d = '#' # x", // 5
    'list = [ # [', // 6
    '  "]", # e = 1', // 7
    '  { f = 1 },', // 8
    ']', // 9
    '', // 10
    '  [ "section one" . two ]', // 11
    'g.h = { i = 1, j = [2] }', // 12
    '"k\\"l" = 1', // 13
    '[[tables]]', // 14
    'm = 1', // 15
  ].join('\r\n')
  parse(text)
  const lines = findKeyLines(text)
  const expected: readonly (readonly [readonly string[], number])[] = [
    [['a'], 2],
    [['d'], 5],
    [['list'], 6],
    [['section one', 'two'], 11],
    [['section one', 'two', 'g', 'h'], 12],
    [['section one', 'two', 'k"l'], 13],
    [['tables'], 14],
    [['tables', 'm'], 15],
  ]
  for (const [path, line] of expected) assert.equal(lines.find(path), line, path.join('.'))
  // And the tables above: `section one`, `section one.two.g`.
  assert.equal(lines.paths().length, expected.length + 2)
})

test('a key inside of an inline table has the line of the table', () => {
  assert.equal(findKeyLines('\n[secrets]\nanna = { secret = "x" }').find(['secrets', 'anna', 'secret']), 3)
})

test('what is not in the file has no line', () => {
  assert.equal(findKeyLines('a = 1').find(['b']), undefined)
  assert.equal(findKeyLines('').find(['a']), undefined)
})

test('every key of any document is on the line it was written to', () => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 3 }))
  const table = fc.dictionary(fc.string({ minLength: 1 }), value, { maxKeys: 6 })
  const document = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(value, table), { maxKeys: 8 })
  fc.assert(
    fc.property(document, (content) => {
      const text = stringify(content)
      const parsed: unknown = parse(text)
      const rows = text.split('\n')
      const lines = findKeyLines(text)
      for (const [key, inner] of Object.entries(content)) {
        const row = rows[(lines.find([key]) ?? 0) - 1] ?? ''
        const isTable = typeof inner === 'object' && !Array.isArray(inner)
        assert.ok(row.startsWith(isTable ? `[${key}]` : `${key} =`), `${key} is not on ${row}`)
      }
      assert.ok(parsed !== null)
    }),
  )
})

test('no text makes the scanner throw or hang', () => {
  const hostile = fc.string({
    unit: fc.constantFrom('"', "'", '[', ']', '{', '}', '=', '.', '\n', '\\', '#', 'a', ' '),
  })
  fc.assert(fc.property(hostile, (text) => assert.ok(findKeyLines(text).paths().length <= text.length)))
})
