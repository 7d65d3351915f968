import type { ProxyConfig } from '#shared/config'
import { ConfigError, type ConfigProblem } from '#shared/errors'
import { parse, TomlError } from 'smol-toml'

import { buildConfig } from './build.ts'
import { collectDcOverrides } from './dc-overrides.ts'
import type { TomlTable } from './decoders.ts'
import { describeSecretValue, describeValue, formatPath } from './describe.ts'
import { findKeyLines, type KeyLines } from './key-lines.ts'
import { CONFIG_KEYS, matchKeys, type MatchedKeys } from './match-keys.ts'
import { type ConfigKey, type ConfigValues, SCHEMA } from './schema.ts'
import { collectUsers } from './users.ts'

/** How deep arrays and inline tables may be nested: nothing of ours needs more than two levels. */
const MAX_TOML_DEPTH = 16

/** What the parser's words mean for the mistakes that are made most. */
const TOML_HINTS: Readonly<Record<string, string>> = {
  'invalid value': ' (texts need quotes)',
  'illegal character in key': ' (names with other characters than A-Z a-z 0-9 - _ need quotes)',
}

/**
 * The configuration out of the text of a TOML file.
 * @returns the config, and what is worth a warning: unknown keys, keys without effect, values that were raised
 * @throws ConfigError with every problem at once (decision C1)
 */
export function readConfig(
  text: string,
  options: { fileName: string },
): { config: ProxyConfig; warnings: readonly ConfigProblem[] } {
  // Editors on Windows begin a file with it.
  const body = text.startsWith('\uFEFF') ? text.slice(1) : text
  const file = parseToml(body, options.fileName)
  const lines = findKeyLines(body)
  const matched = matchKeys(file, lines)
  const { values, failed, ...decoded } = decodeValues(matched, lines)
  const users = collectUsers(values.secrets, values.secret, lines)
  const dc = collectDcOverrides(values.dc, lines)

  const { config, missing } = buildConfig(values, users.users, dc.overrides)
  const problems = [...matched.problems, ...decoded.problems, ...users.problems, ...dc.problems]
  // What was tried and failed is not reported as missing as well.
  const tried = new Set<string>([...failed, ...users.misplacedKeys])
  if (users.problems.length > users.misplacedKeys.size) tried.add('secrets')
  for (const gap of missing) if (!gap.keys.some((key) => tried.has(key))) problems.push(gap.problem)
  if (config === null || problems.length > 0)
    throw new ConfigError(sortByLine([...problems, ...matched.unknown]))

  const warnings = [...matched.unknown, ...matched.withoutEffect, ...decoded.warnings, ...users.warnings]
  if (values.secret !== null && Object.keys(values.secrets).length > 0)
    warnings.push({ ...locate(['secret'], lines), expected: 'ignored, because [secrets] has users' })
  return { config, warnings: sortByLine(warnings) }
}

function parseToml(text: string, fileName: string): TomlTable {
  try {
    return parse(text, { integersAsBigInt: true, maxDepth: MAX_TOML_DEPTH })
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // The error itself quotes the line of the file, which may hold a secret: only its first line goes on, and no cause.
    const reason = error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '') ?? ''
    const hint = TOML_HINTS[reason] ?? ''
    // oxlint-disable-next-line preserve-caught-error -- see above
    throw new ConfigError([
      { path: '', line: error.line, expected: `${fileName} is not valid TOML: ${reason}${hint}` },
    ])
  }
}

function decodeValues(
  matched: MatchedKeys,
  lines: KeyLines,
): { values: ConfigValues; failed: Set<ConfigKey>; problems: ConfigProblem[]; warnings: ConfigProblem[] } {
  const failed = new Set<ConfigKey>()
  const problems: ConfigProblem[] = []
  const warnings: ConfigProblem[] = []
  const values: Partial<Record<ConfigKey, unknown>> = {}
  for (const key of CONFIG_KEYS) {
    const found = matched.found.get(key)
    values[key] = SCHEMA[key].default
    if (found === undefined) continue
    const decoded = SCHEMA[key].decode(found.value)
    const at = locate(found.path, lines)
    if (!decoded.ok) {
      failed.add(key)
      const describe = key === 'secret' ? describeSecretValue : describeValue
      problems.push({ ...at, found: decoded.found ?? describe(found.value), expected: decoded.expected })
      continue
    }
    values[key] = decoded.value
    if (decoded.notice !== undefined)
      warnings.push({ ...at, found: describeValue(found.value), expected: decoded.notice })
  }
  // Each value came from the row of its own key, a relation that does not survive the loop.
  return { values: values as ConfigValues, failed, problems, warnings }
}

function locate(path: readonly string[], lines: KeyLines): { path: string; line?: number } {
  const line = lines.find(path)
  return { path: formatPath(path), ...(line === undefined ? {} : { line }) }
}

/** What has no line concerns the file as a whole and comes first. */
function sortByLine(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0))
}
