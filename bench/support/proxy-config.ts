import { parse, stringify, type TomlTable } from 'smol-toml'

/** Configuration files of the benches: tables, and values by dotted names on top. */

/** What one writes for a key that needs no section to be known. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  workers: 'performance.workers',
  'fast-mode': 'performance.fast-mode',
  cipher: 'performance.cipher',
  pacing: 'defense.doppelganger.pacing',
}

/** `key=value` of a command line: the full name, and the value as TOML has it, or else as text. */
export function parseOverride(text: string): [name: string, value: unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`not a key=value: ${text}`)
  const key = text.slice(0, at)
  const value = text.slice(at + 1)
  return [SHORT_NAMES[key] ?? key, parseValue(value)]
}

function parseValue(text: string): unknown {
  try {
    return parse(`value = ${text}`)['value']
  } catch {
    return text
  }
}

/** A copy with this value in place; sections are made as needed. */
export function setValue(table: TomlTable, name: string, value: unknown): TomlTable {
  const [first = '', ...rest] = name.split('.')
  if (rest.length === 0) return { ...table, [first]: value as TomlTable } // TOML's values, all of them
  const section = table[first]
  const inner = typeof section === 'object' && !Array.isArray(section) ? (section as TomlTable) : {}
  return { ...table, [first]: setValue(inner, rest.join('.'), value) }
}

export function buildConfigText(base: TomlTable, values: Readonly<Record<string, unknown>>): string {
  let table = base
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) table = setValue(table, name, value)
  }
  return stringify(table)
}
