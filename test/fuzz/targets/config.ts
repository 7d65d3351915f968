import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { readConfig } from '#primary/config/read'
import { CONFIG_KEYS } from '#primary/config/schema'
import { formatConfig } from '#primary/config/show-config'
import { formatConfigWarning } from '#primary/config/warning'
import { ConfigError, formatConfigProblem } from '#shared/errors'
import { stateless, type Target } from '../target.ts'

/** What stands where a secret belongs: never to be repeated. */
const KEY = '9f3c1e7a5b2d4c6e8f0a1b3c5d7e9f12'
const SECRET = `ee${KEY}${Buffer.from('site.example').toString('hex')}`

const value = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom(
      'true',
      'false',
      '0',
      '1',
      '-1',
      '1.5',
      'nan',
      '""',
      '[]',
      '{}',
      '1979-05-27',
      `"${SECRET}"`,
      `["${SECRET}"]`,
    ),
    fc.constantFrom(
      '"5s"',
      '"1mb"',
      '"127.0.0.1:443"',
      '"[::1]:443"',
      '"unix:/tmp/x"',
      '"socks5://user:pw@127.0.0.1:1080"',
      '"https://1.1.1.1"',
      '"env:X_Y"',
      '"file:none"',
      '["127.0.0.1:443", ""]',
      '{ enabled = true }',
    ),
    fc.string({ maxLength: 12 }).map((text) => JSON.stringify(text)),
    fc.integer().map(String),
  )

const files = (): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      fc.boolean(),
      fc.array(fc.tuple(fc.constantFrom(...CONFIG_KEYS, 'concurency', 'x'), value()), { maxLength: 6 }),
      fc.array(fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,8}$/), value()), { maxLength: 3 }),
    )
    .map(([isUsable, globals, users]) =>
      [
        ...(isUsable ? ['bind-to = "127.0.0.1:3128"'] : []),
        ...globals.map(([key, text]) => `${key} = ${text}`),
        '[secrets]',
        ...(isUsable ? [`anna = "${SECRET}"`] : []),
        ...users.map(([name, text]) => `${name} = ${text}`),
      ].join('\n'),
    )
    .map((text) => Buffer.from(text))

/** Everything that is said about a file. */
function judge(text: string): string[] {
  try {
    const { warnings, values } = readConfig(text, { fileName: 'x.toml' })
    return [...warnings.map(formatConfigWarning), formatConfig(values)]
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    assert.ok(error.problems.length > 0)
    for (const { expected } of error.problems) assert.ok(expected.length > 0)
    return [error.message, ...error.problems.map(formatConfigProblem)]
  }
}

export const config: Target = {
  name: 'config',
  inputs: files(),
  dictionary: [
    ...CONFIG_KEYS,
    `"${SECRET}"`,
    '[secrets]\n',
    '[',
    ']',
    '{',
    '}',
    '"""',
    "'''",
    ' = ',
    '\n',
    '#',
    'env:',
    'file:',
    '1e999',
    '0x',
    '__proto__ = 1\n',
    'constructor',
    '\ufeff',
    '\0',
    '"\\u0000"',
  ],
  libraries: ['smol-toml'],
  maxBytes: 8192,
  limitMs: 250,
  open: () =>
    stateless((input) => {
      const said = judge(input.toString())
      // Cut or changed it is no secret any more, and may stand where names do.
      if (input.includes(SECRET)) for (const text of said) assert.ok(!text.includes(KEY), text)
      for (const text of said) assert.ok(text.length < 200 * (input.length + 100))
    }),
}
