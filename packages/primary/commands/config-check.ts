import { formatConfig, showConfig } from '#primary/config/show-config'
import type { ConfigValues } from '#primary/config/schema'
import { type ConfigWarning, formatConfigWarning } from '#primary/config/warning'
import { ExitCode, PROGRAM } from '#primary/exit'
import { ConfigError, type ConfigProblem, formatConfigProblem } from '#shared/errors'

import { type ConfigFile, readConfigFile } from './read-config-file.ts'

export interface ConfigCheckOptions {
  readonly configPath: string
  /** One JSON object on stdout, whether the file is valid or not. */
  readonly json: boolean
}

/**
 * `config check <config-path>`: what a start with this file would say and what would hold, secrets masked. Without
 * `--json`, the configuration goes to stdout as TOML and the warnings to stderr.
 * @returns 0 if the program would start with it, 1 if not
 * @throws UsageError without such a file; OperatorError with every problem, unless they are asked for as JSON
 */
export async function runConfigCheck({ configPath, json }: ConfigCheckOptions): Promise<ExitCode> {
  if (json) return checkAsJson(configPath)
  const file = await readConfigFile(configPath)
  for (const warning of file.warnings)
    process.stderr.write(`${PROGRAM}: warning: ${formatConfigWarning(warning)}\n`)
  process.stdout.write(`# ${configPath} is valid\n${formatConfig(resolveValues(file))}`)
  return ExitCode.ok
}

async function checkAsJson(configPath: string): Promise<ExitCode> {
  const print = (result: object): void => {
    process.stdout.write(`${JSON.stringify({ file: configPath, ...result }, null, 2)}\n`)
  }
  try {
    const file = await readConfigFile(configPath)
    const warnings = file.warnings.map(describeWarning)
    print({ valid: true, problems: [], warnings, config: showConfig(resolveValues(file)) })
    return ExitCode.ok
  } catch (error) {
    if (!(error instanceof Error && error.cause instanceof ConfigError)) throw error
    print({ valid: false, problems: error.cause.problems.map(describeProblem), warnings: [], config: null })
    return ExitCode.failure
  }
}

/** Numbers in place of those values that stand for one. */
function resolveValues({ config, values }: ConfigFile): ConfigValues {
  return {
    ...values,
    'performance.workers': config.performance.workers,
    'domain-fronting.max-connections': config.domainFronting.maxConnections,
  }
}

function describeProblem(problem: ConfigProblem): object {
  const { path, line = null, found = null, expected } = problem
  return { path, line, found, expected, message: formatConfigProblem(problem) }
}

function describeWarning(warning: ConfigWarning): object {
  return { kind: warning.kind, ...describeProblem(warning), message: formatConfigWarning(warning) }
}
