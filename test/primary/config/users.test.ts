import assert from 'node:assert/strict'
import { test } from 'node:test'

import { KeyLines } from '#primary/config/key-lines'
import { readConfig } from '#primary/config/read'
import { formatConfig } from '#primary/config/show-config'
import { ConfigError, formatConfigProblem } from '#shared/errors'
import { collectUsers } from '#primary/config/users'
import { formatSecretHex } from '#shared/secret'
import { MAX_USERS } from '#shared/state/ledger-memory'

const HOST = Buffer.from('example.com').toString('hex')
const OTHER_HOST = Buffer.from('example.org').toString('hex')
const keyOf = (byte: string): string => byte.repeat(16)
const A = `ee${keyOf('aa')}${HOST}`
const B = `ee${keyOf('bb')}${HOST}`
const A_ELSEWHERE = `ee${keyOf('aa')}${OTHER_HOST}`

function read(section: string): { users: Record<string, string[]>; names: string[]; warnings: string[] } {
  const { config, warnings } = readConfig(`bind-to = "0.0.0.0:1"\n${section}`, { fileName: 'config.toml' })
  return {
    users: Object.fromEntries(config.users.map((user) => [user.name, user.secrets.map(formatSecretHex)])),
    names: config.users.map((user) => user.name),
    warnings: warnings.map(formatConfigProblem),
  }
}

function problemsOf(section: string): string[] {
  try {
    read(section)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatConfigProblem)
    throw error
  }
  return assert.fail('was accepted')
}

test('users have a text or a table, and are sorted by the bytes of their names', () => {
  const { users, names } = read(
    `[secrets]\n"я" = "${A}"\n"anna b" = { secret = "${B}" }\nZoe = { Secret = "${A_ELSEWHERE}" }`,
  )
  assert.deepEqual(names, ['Zoe', 'anna b', 'я'])
  assert.deepEqual(users, { Zoe: [A_ELSEWHERE], 'anna b': [B], я: [A] })
})

test('a user written as a section of its own is the same', () => {
  assert.deepEqual(read(`[secrets.anna]\nsecret = "${A}"`).users, { anna: [A] })
})

test('a user with links to several hosts has several secrets', () => {
  assert.deepEqual(read(`[secrets]\nanna = ["${A}", "${A_ELSEWHERE}"]`).users, { anna: [A, A_ELSEWHERE] })
})

test('one key with two hosts under two names is accepted, with one host it is not', () => {
  assert.deepEqual(read(`[secrets]\nanna = "${A}"\nanna-new = "${A_ELSEWHERE}"`).names, ['anna', 'anna-new'])
  assert.deepEqual(problemsOf(`[secrets]\nbob = "${A}"\nanna = "${A}"`), [
    'secrets.bob (line 3): the secret is also that of secrets.anna: expected each key with one host only once',
  ])
  const sameHostInCapitals = `ee${keyOf('aa')}${Buffer.from('EXAMPLE.com.').toString('hex')}`
  assert.equal(problemsOf(`[secrets]\nbob = "${A}"\nanna = "${sameHostInCapitals}"`).length, 1)
  assert.match(problemsOf(`[secrets]\nanna = ["${A}", "${A}"]`).join(), /the secret is twice here/)
})

test('a name is there once, has 1 to 64 characters, and no control characters', () => {
  assert.match(problemsOf(`[secrets]\nanna = "${A}"\nanna = "${B}"`).join(), /not valid TOML/)
  assert.deepEqual(
    read(`[secrets]\n"${'я'.repeat(64)}" = "${A}"\n"${'💡'.repeat(64)}" = "${B}"`).names.length,
    2,
  )
  for (const name of ['""', `"${'a'.repeat(65)}"`, '"a\\nb"', '"\\u0000"', '"\\u009b"'])
    assert.match(
      problemsOf(`[secrets]\n${name} = "${A}"`).join(),
      /expected a name of 1 to 64 characters/,
      name,
    )
})

test('more users than there are places is a problem of the file', () => {
  const names = Array.from({ length: MAX_USERS + 1 }, (_, index) => {
    const key = `f${index.toString(16).padStart(31, '0')}`
    return [`u${index}`, `ee${key}${HOST}`]
  })
  const { problems } = collectUsers(Object.fromEntries(names), null, new KeyLines(new Map()))
  assert.deepEqual(problems.map(formatConfigProblem), [
    'secrets: found 100001 users, expected at most 100000',
  ])
})

test('names that mean something to JavaScript are names', () => {
  assert.deepEqual(read(`[secrets]\n__proto__ = "${A}"\nconstructor = "${B}"`).names, [
    '__proto__',
    'constructor',
  ])
})

test('a global key after [secrets] is reported as exactly that mistake', () => {
  assert.deepEqual(
    problemsOf(
      `[secrets]\nanna = "${A}"\nconcurrency = 5\nPrefer-IP = "only-ipv4"\ndomain-fronting.port = 1`,
    ),
    [
      'secrets.concurrency (line 4): concurrency is a global key, but stands after [secrets] and so inside of it: move it above the first [section]',
      'secrets.Prefer-IP (line 5): prefer-ip is a global key, but stands after [secrets] and so inside of it: move it above the first [section]',
      'secrets.domain-fronting (line 6): domain-fronting is a global key, but stands after [secrets] and so inside of it: move it above the first [section]',
    ],
  )
})

test('a required key after [secrets] is not reported as missing as well', () => {
  assert.throws(
    () => readConfig(`[secrets]\nanna = "${A}"\nbind-to = "0.0.0.0:1"`, { fileName: 'config.toml' }),
    (error) => error instanceof ConfigError && error.problems.length === 1,
  )
})

test('a global secret after [secrets] is a user called so, which is worth a warning', () => {
  const { names, warnings } = read(`[secrets]\nanna = "${A}"\nsecret = "${B}"`)
  assert.deepEqual(names, ['anna', 'secret'])
  assert.match(
    warnings.join(),
    /secrets\.secret \(line 4\): this is a user called "secret"; secret is a global key/,
  )
})

test('the single secret gives way to users, with a warning, but is still checked', () => {
  const { names, warnings } = read(`secret = "${B}"\n[secrets]\nanna = "${A}"`)
  assert.deepEqual(names, ['anna'])
  assert.deepEqual(warnings, ['secret (line 2): ignored, because [secrets] has users'])
  assert.equal(problemsOf(`secret = "x"\n[secrets]\nanna = "${A}"`).length, 1)
})

test('a bad secret is told by what is wrong with it, and never shown', () => {
  const told: readonly (readonly [string, string])[] = [
    ['5', 'found 5, expected a secret in quotes'],
    ['""', 'found "", expected a secret; make one'],
    [`"dd${keyOf('aa')}"`, 'found "dd…" (34 characters), expected a fake-TLS secret'],
    [`"ee${keyOf('zz')}${HOST}"`, 'expected pairs of hex digits to the end'],
    [`"ee${keyOf('aa')}"`, 'expected a host name after the key'],
    [`"ee${keyOf('00')}${HOST}"`, 'expected a random key'],
    [`"${A} "`, 'expected a secret in hex or base64url'],
    ['{ }', 'expected a secret in quotes'],
    [`["${A}", 7]`, 'found 7, expected a secret in quotes'],
    ['[]', 'expected at least one secret'],
  ]
  for (const [value, expected] of told) {
    const problems = problemsOf(`[secrets]\nanna = ${value}`)
    assert.equal(problems.length, 1, value)
    assert.ok(problems[0]?.includes(expected), `${value}: ${problems[0]}`)
    assert.doesNotMatch(problems.join(), /aaaaaa|zzzzzz/)
  }
})

test('an unknown key of a user warns', () => {
  assert.deepEqual(read(`[secrets]\nanna = { secret = "${A}", sekret = 1, birthday = "5gb" }`).warnings, [
    'secrets.anna.sekret (line 3): unknown key, ignored: did you mean secret?',
    'secrets.anna.birthday (line 3): unknown key, ignored',
  ])
})

function limitsOf(table: string): unknown {
  const file = `bind-to = "0.0.0.0:1"\nstate-file = "state.json"\n[secrets]\nanna = ${table}`
  const { config, warnings } = readConfig(file, { fileName: 'config.toml' })
  const [{ quota, overLimit } = assert.fail('nobody')] = config.users
  return { quota, overLimit, warnings: warnings.map(formatConfigProblem) }
}

test('a user may have a quota', () => {
  const GIB = 2 ** 30
  assert.deepEqual(limitsOf(`"${A}"`), { quota: null, overLimit: 'close', warnings: [] })
  assert.deepEqual(limitsOf(`{ secret = "${A}", quota = "10gib" }`), {
    quota: { limitBytes: 10 * GIB, period: 'month' },
    overLimit: 'close',
    warnings: [],
  })
  assert.deepEqual(
    limitsOf(`{ secret = "${A}", Quota = "1.5 GB", quota-period = "Week", over-limit = "front" }`),
    { quota: { limitBytes: 1.5 * GIB, period: 'week' }, overLimit: 'front', warnings: [] },
  )
  assert.deepEqual(limitsOf(`{ secret = "${A}", quota = "8pib" }`), {
    quota: { limitBytes: 2 ** 52, period: 'month' },
    overLimit: 'close',
    warnings: ['secrets.anna.quota (line 4): found "8pib", lowered to 4194304gib, the largest there is'],
  })
  assert.deepEqual(limitsOf(`{ secret = "${A}", quota-period = "day", over-limit = "front" }`), {
    quota: null,
    overLimit: 'front',
    warnings: [
      'secrets.anna.quota-period (line 4): has no effect without a quota',
      'secrets.anna.over-limit (line 4): has no effect without a quota',
    ],
  })
})

test('everything that is wrong with a user is said at once', () => {
  assert.deepEqual(
    problemsOf(
      `[secrets]\nanna = { secret = "ee12", quota = "10", quota-period = "year", over-limit = "block" }\n` +
        `bob = { secret = "${B}", quota = "0", QUOTA = "1gb" }\ncarl = { secret = "${A}", quota = false }`,
    ).map((text) => text.replace(/found.*?, /, '')),
    [
      'secrets.anna.quota (line 3): expected a size with its unit, such as "10gib"',
      'secrets.anna.quota-period (line 3): expected one of "day", "week", "month", "total"',
      'secrets.anna.over-limit (line 3): expected one of "close", "front"',
      'secrets.anna (line 3): expected 16 bytes of key after the "ee": this secret is cut off',
      'secrets.bob.QUOTA (line 4): expected only one quota: letter case makes no other key',
      'secrets.bob.quota (line 4): expected a size above 0; who has no quota needs no such key',
      'secrets.carl.quota (line 5): expected a size with its unit, such as "10gib"',
    ],
  )
})

test('a misspelt key of a user has a nearest one', () => {
  assert.deepEqual(
    read(`[secrets]\nanna = { secret = "${A}", quota-perod = "day", over_limit = "front" }`).warnings,
    [
      'secrets.anna.quota-perod (line 3): unknown key, ignored: did you mean quota-period?',
      'secrets.anna.over_limit (line 3): unknown key, ignored: did you mean over-limit?',
    ],
  )
})

test('a quota without a state file is a warning', () => {
  assert.deepEqual(read(`[secrets]\nanna = { secret = "${A}", quota = "1gb" }`).warnings, [
    'state-file: not set: what users have used of their quotas is forgotten with a restart or an upgrade',
  ])
})

test('what holds is shown as it may be written, secrets masked', () => {
  const { values } = readConfig(
    `bind-to = "0.0.0.0:1"\n[secrets]\nanna = { secret = "${A}", quota = "10gib" }\nbob = "${B}"`,
    { fileName: 'config.toml' },
  )
  const shown = formatConfig(values)
    .split('\n')
    .filter((line) => line.startsWith('secrets.'))
  assert.deepEqual(shown, [
    'secrets.anna.secret = ["ee…(example.com)"]',
    'secrets.anna.quota = "10gib"',
    'secrets.anna.quota-period = "month"',
    'secrets.anna.over-limit = "close"',
    'secrets.bob = ["ee…(example.com)"]',
  ])
})
