import type { ProxyConfig } from '#shared/config'
import { mergeDcTable } from '#shared/dc'
import { ConfigError, type ConfigProblem } from '#shared/errors'
import { parse, TomlError } from 'smol-toml'

import { buildConfig } from './build.ts'
import { collectDcOverrides } from './dc-overrides.ts'
import { collectDcRoutes } from './dc-routes.ts'
import { decodeValues } from './decode-values.ts'
import type { TomlTable } from './decoders.ts'
import { findForgottenQuotas, findUnwise } from './find-unwise.ts'
import { foldDeprecated } from './fold-deprecated.ts'
import { findKeyLines, KeyLines } from './key-lines.ts'
import { holdsLiteralSecret } from './literal-secrets.ts'
import { matchKeys } from './match-keys.ts'
import { locate, type Place } from './place.ts'
import type { ConfigKey, ConfigValues } from './schema.ts'
import { findTooManyUpstreams } from './upstream-count.ts'
import { collectUsers } from './users.ts'
import type { ConfigWarning } from './warning.ts'

/** How deep arrays and inline tables may be nested: nothing of ours needs more than two levels. */
const MAX_TOML_DEPTH = 16

/** What the parser's words mean for the mistakes that are made most. */
const TOML_HINTS: Readonly<Record<string, string>> = {
  'invalid value': ' (texts need quotes)',
  'illegal character in key': ' (names with other characters than A-Z a-z 0-9 - _ need quotes)',
}

export interface ReadConfig {
  readonly config: ProxyConfig
  /** What holds for each key, deprecated ones folded in: for comparing and for showing. */
  readonly values: ConfigValues
  readonly warnings: readonly ConfigWarning[]
  /** The file itself holds keys, a token or a password, and should be read by its owner alone. */
  readonly holdsSecret: boolean
}

/**
 * The configuration out of the text of a TOML file. Environment variables and other files are read where the text
 * refers to them.
 * @returns the config, and what is worth a warning: unknown keys, keys without effect, values taken with a change
 * @throws ConfigError with every problem at once (decision C1)
 */
export function readConfig(text: string, options: { fileName: string }): ReadConfig {
  // Editors on Windows begin a file with it.
  const body = text.startsWith('\uFEFF') ? text.slice(1) : text
  return readTable(parseToml(body, options.fileName), findKeyLines(body))
}

/** As {@link readConfig}, from a table as the parser gives it: integers are bigint. */
export function readTable(file: TomlTable, lines: KeyLines = new KeyLines(new Map())): ReadConfig {
  const matched = matchKeys(file, lines)
  const decoded = decodeValues(matched, lines)
  const folded = foldDeprecated(decoded.values, decoded.given)
  const users = collectUsers(folded.secrets, folded.secret, lines)
  const dc = collectDcOverrides(folded.dc, lines)
  const routes = collectDcRoutes(folded['dc-routes'], mergeDcTable(dc.overrides), lines)
  const hasSection = Object.keys(folded.secrets).length > 0
  const values: ConfigValues = {
    ...folded,
    dc: dc.overrides,
    'dc-routes': routes.routes,
    secrets: hasSection ? users.users : [],
  }

  const place = (key: ConfigKey): Place => locate(matched.found.get(key)?.path ?? key.split('.'), lines)
  const { config, missing } = buildConfig(values, users.users)
  const problems = [
    ...matched.problems,
    ...decoded.problems,
    ...users.problems,
    ...dc.problems,
    ...routes.problems,
    ...findTooManyUpstreams(values, place),
  ]
  // What was tried and failed is not reported as missing as well.
  const tried = new Set<string>([...decoded.failed, ...users.misplacedKeys])
  if (users.problems.length > users.misplacedKeys.size) tried.add('secrets')
  for (const gap of missing) if (!gap.keys.some((key) => tried.has(key))) problems.push(gap.problem)
  if (config === null || problems.length > 0)
    throw new ConfigError(sortByLine([...problems, ...matched.unknown]))

  const warnings = [
    ...matched.unknown,
    ...decoded.warnings,
    ...users.warnings,
    ...routes.warnings,
    ...findUnwise(folded, place),
    ...findForgottenQuotas(users.users, folded['state-file'] === null, place),
    ...(folded.secret !== null && hasSection ? [warnOfUnusedSecret(place('secret'))] : []),
  ]
  return { config, values, warnings: sortByLine(warnings), holdsSecret: holdsLiteralSecret(matched.found) }
}

function warnOfUnusedSecret(place: Place): ConfigWarning {
  return { kind: 'no-effect', ...place, expected: 'ignored, because [secrets] has users' }
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

/** What has no line concerns the file as a whole and comes first. */
function sortByLine<T extends ConfigProblem>(problems: readonly T[]): T[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0))
}
