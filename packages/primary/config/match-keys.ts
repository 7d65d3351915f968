import type { ConfigProblem } from '#shared/errors'

import { isTable, type TomlTable } from './decoders.ts'
import { describeValue } from './describe.ts'
import type { KeyLines } from './key-lines.ts'
import { findNearest } from './nearest.ts'
import { locate } from './place.ts'
import { CONFIG_KEYS, type ConfigKey } from './schema.ts'
import type { ConfigWarning } from './warning.ts'

/** A node of the tree of known keys: a section or a leaf. */
type KnownKey =
  | { kind: 'section'; name: string; children: Map<string, KnownKey> }
  | { kind: 'value'; name: string; key: ConfigKey }

type Section = Extract<KnownKey, { kind: 'section' }>

const ROOT: Section = buildKnownKeys()

/** Everything that may stand above the first section or open one: lower case to the usual spelling. */
export const GLOBAL_KEYS: ReadonlyMap<string, string> = new Map(
  [...ROOT.children].map(([lower, known]) => [lower, known.name]),
)

export interface MatchedKeys {
  readonly found: ReadonlyMap<ConfigKey, { readonly path: readonly string[]; readonly value: unknown }>
  readonly problems: readonly ConfigProblem[]
  /** Keys nobody knows: ignored, and perhaps the reason why another key is missing. */
  readonly unknown: readonly ConfigWarning[]
}

/** Pairs the keys of a file with those of the schema, letter case aside (decision C2). */
export function matchKeys(file: TomlTable, lines: KeyLines): MatchedKeys {
  const found = new Map<ConfigKey, { path: readonly string[]; value: unknown }>()
  const problems: ConfigProblem[] = []
  const unknown: ConfigWarning[] = []
  matchSection(file, ROOT, [])
  return { found, problems, unknown }

  function matchSection(table: TomlTable, section: Section, parent: readonly string[]): void {
    const spellings = new Map<string, string>()
    for (const [written, value] of Object.entries(table)) {
      const path = [...parent, written]
      const known = section.children.get(written.toLowerCase())
      if (known === undefined) {
        unknown.push({ kind: 'unknown', ...report(path, explainUnknown(written, section)) })
        continue
      }
      const other = spellings.get(known.name)
      if (other !== undefined) {
        problems.push(report(path, `expected only one of ${other} and ${written}: they are the same key`))
        continue
      }
      spellings.set(known.name, written)
      if (known.kind === 'value') found.set(known.key, { path, value })
      else if (isTable(value)) matchSection(value, known, path)
      else problems.push({ ...report(path, 'expected a table'), found: describeValue(value) })
    }
  }

  function report(path: readonly string[], expected: string): ConfigProblem {
    return { ...locate(path, lines), expected }
  }
}

function explainUnknown(written: string, section: Section): string {
  const global = section === ROOT ? undefined : GLOBAL_KEYS.get(written.toLowerCase())
  if (global !== undefined)
    return `unknown key, ignored: ${global} is a global key, move it above the first [section]`
  const sibling = findNearest(
    written,
    [...section.children.values()].map((known) => known.name),
  )
  if (sibling !== undefined) return `unknown key, ignored: did you mean ${sibling}?`
  // The right word in the wrong section: `idle` instead of `network.timeout.idle`.
  const elsewhere = CONFIG_KEYS.find((key) => key.endsWith(`.${written.toLowerCase()}`))
  return elsewhere === undefined ? 'unknown key, ignored' : `unknown key, ignored: did you mean ${elsewhere}?`
}

function buildKnownKeys(): Section {
  const root: Section = { kind: 'section', name: '', children: new Map() }
  for (const key of CONFIG_KEYS) insert(root, key, (name) => ({ kind: 'value', name, key }))
  return root
}

function insert(root: Section, path: string, build: (name: string) => KnownKey): void {
  const names = path.split('.')
  const last = names.pop() ?? ''
  let section = root
  for (const name of names) {
    const child = section.children.get(name) ?? { kind: 'section', name, children: new Map() }
    section.children.set(name, child)
    if (child.kind === 'section') section = child
  }
  section.children.set(last, build(last))
}
