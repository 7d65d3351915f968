import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CONFIG_KEYS } from '#primary/config/schema'

const ROOT = new URL('../../', import.meta.url)
const PAGE = readFileSync(new URL('docs/limits.md', ROOT), 'utf8')

interface Row {
  readonly name: string
  /** A file below packages/, or "key". */
  readonly where: string
  readonly tests: readonly string[]
}

const ROWS: readonly Row[] = PAGE.slice(PAGE.indexOf('## Clients,'))
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [name = '', , where = '', , , tests = ''] = line.split(' | ')
    return {
      name: name.replaceAll(/[|` ]/g, ''),
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
