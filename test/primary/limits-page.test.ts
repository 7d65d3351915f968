import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CONFIG_KEYS } from '#primary/config/schema'

const ROOT = new URL('../../', import.meta.url)
const PAGE = readFileSync(new URL('docs/limits.md', ROOT), 'utf8')

interface Row {
  readonly name: string
  readonly value: string
  /** A file below packages/, or "key". */
  readonly where: string
  readonly tests: readonly string[]
}

const ROWS: readonly Row[] = PAGE.slice(PAGE.indexOf('## Clients,'))
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [name = '', value = '', where = '', , , tests = ''] = line.split(' | ')
    return {
      name: name.replaceAll(/[|` ]/g, ''),
      value: value.trim(),
      where: where.trim(),
      tests: [...tests.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
    }
  })

const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8')

/** Constants at the top of a file that are called a least or a most of something, or a limit of time. */
function listBounds(): string[] {
  return readdirSync(new URL('packages/', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      [
        ...read(`packages/${file}`).matchAll(
          /^(?:export )?const ((?:MAX|MIN)_[A-Z0-9_]+|[A-Z0-9_]*(?:LIMIT|TIMEOUT|PATIENCE|GRACE)_MS)\b/gm,
        ),
      ].map(([, name]) => `${name} ${file}`),
    )
}

test('every least, most and limit of time of the code is on the page of limits', () => {
  const listed = new Set(ROWS.map(({ name, where }) => `${name} ${where}`))
  const bounds = listBounds()
  assert.ok(bounds.length > 100, 'they are found at all')
  assert.deepEqual(
    bounds.filter((bound) => !listed.has(bound)),
    [],
  )
})

test('every limit on the page exists, as a key or as a constant of that file, and so does its test', () => {
  assert.ok(ROWS.length > 120, `${ROWS.length} limits`)
  const keys: readonly string[] = CONFIG_KEYS
  for (const { name, where, tests } of ROWS) {
    if (where === 'key')
      assert.ok(keys.includes(name) || keys.includes(`network.${name}`), `no such key: ${name}`)
    else
      assert.match(
        read(`packages/${where}`),
        new RegExp(`^(?:export )?const ${name}\\b`, 'm'),
        `${name} in ${where}`,
      )
    assert.ok(tests.length > 0, `${name} has no test`)
    for (const file of tests) assert.ok(existsSync(new URL(`test/${file}`, ROOT)), `${name}: ${file}`)
  }
})

/** Bytes and milliseconds are what constants are in, unless their names say something else. */
const UNITS: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  PiB: 2 ** 50,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  days: 86_400_000,
}
/** Said in other words on the page: pages of 64 KiB, and what a timer of Node can wait for. */
const IN_OTHER_WORDS = ['MAX_TABLE_PAGES', 'MAX_SLEEP_MS']

/** `64 KiB a session` is 65,536; null of what does not begin with a number. */
function parseValue(text: string, name: string): number | null {
  const [, digits, unit = ''] = /^([\d.,]+)(?: (\w+))?/.exec(text) ?? []
  if (digits === undefined) return null
  const scale = UNITS[unit] ?? 1
  return Number(digits.replaceAll(',', '')) * (name.endsWith('_NS') ? scale * 1e6 : scale)
}

/** Of `64 * 1024`, `2 ** 30`, `0xffff`; NaN of what is made of other constants. */
function parseExpression(text: string): number {
  return text.split(' * ').reduce((product, factor) => {
    const [base = '', exponent = '1'] = factor.replaceAll('_', '').split(' ** ')
    return product * Number(base) ** Number(exponent)
  }, 1)
}

test('what the page says of each limit is its value in the code', () => {
  let compared = 0
  for (const { name, value, where } of ROWS) {
    if (!where.endsWith('.ts') || IN_OTHER_WORDS.includes(name)) continue
    const [, text = ''] =
      new RegExp(`^(?:export )?const ${name}\\b[^=]*= (.+)$`, 'm').exec(read(`packages/${where}`)) ?? []
    const [said, is] = [parseValue(value, name), parseExpression(text)]
    if (said === null || Number.isNaN(is)) continue
    assert.equal(said, is, `${name} in ${where}`)
    compared += 1
  }
  assert.ok(compared > 160, `${compared} are compared`)
})
