import { formatPath } from './describe.ts'
import { CONFIG_KEYS, type ConfigKey, type ConfigValues, SCHEMA, showValue } from './schema.ts'
import type { Shown } from './schema-row.ts'

type ShownTable = Readonly<Record<string, Shown>>

/** What holds, as nested tables; secrets masked, null for what is not set. Deprecated keys are under their new names. */
export function showConfig(values: ConfigValues): ShownTable {
  const root: Record<string, Shown> = {}
  for (const key of listShownKeys()) setAt(root, key.split('.'), showValue(key, values))
  return root
}

/** The same as TOML with one key a line, for people. What is not set stands in a comment. */
export function formatConfig(values: ConfigValues): string {
  return listShownKeys()
    .flatMap((key) => formatEntry(key.split('.'), showValue(key, values)))
    .map((line) => `${line}\n`)
    .join('')
}

function listShownKeys(): readonly ConfigKey[] {
  return CONFIG_KEYS.filter((key) => !('deprecated' in SCHEMA[key]))
}

function formatEntry(path: readonly string[], shown: Shown): string[] {
  if (isTable(shown))
    return Object.entries(shown).flatMap(([name, inner]) => formatEntry([...path, name], inner))
  const key = formatPath(path)
  return shown === null ? [`# ${key} is not set`] : [`${key} = ${formatValue(shown)}`]
}

/** Arrays and texts of JSON are arrays and texts of TOML. */
function formatValue(shown: Shown): string {
  return Array.isArray(shown) ? `[${shown.map(formatValue).join(', ')}]` : JSON.stringify(shown)
}

function isTable(shown: Shown): shown is ShownTable {
  return typeof shown === 'object' && shown !== null && !Array.isArray(shown)
}

function setAt(root: Record<string, Shown>, path: readonly string[], value: Shown): void {
  let table = root
  for (const name of path.slice(0, -1)) {
    const inner: Record<string, Shown> = { ...(table[name] as ShownTable | undefined) } // sections hold tables alone
    table[name] = inner
    table = inner
  }
  table[path.at(-1) ?? ''] = value
}
