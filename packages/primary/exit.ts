import { BugError, ConfigError, formatConfigProblem, OperatorError } from '#shared/errors'

export const PROGRAM = 'mtg-multi'

/** What scripts and service managers see (operator.md §2). */
export const ExitCode = { ok: 0, failure: 1, usage: 80 } as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** The command line itself is wrong: exit 80. */
export class UsageError extends Error {
  readonly code = 'usage' as const
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'UsageError'
  }
}

/**
 * What stands on stderr when a command fails: `mtg-multi: error: …`, follow-up lines indented. Only errors that nobody
 * foresaw come with a stack, because they are ours to mend.
 */
export function formatFailure(error: unknown): string {
  return `${PROGRAM}: error: ${describeFailure(error).split('\n').join('\n  ')}\n`
}

export function getExitCode(error: unknown): ExitCode {
  return error instanceof UsageError ? ExitCode.usage : ExitCode.failure
}

/** Every problem of a file, one a line below the name of the file. */
export function formatConfigError(error: ConfigError, fileName: string): string {
  const count = error.problems.length === 1 ? '1 problem' : `${error.problems.length} problems`
  return [`${fileName} has ${count}:`, ...error.problems.map(formatConfigProblem)].join('\n')
}

function describeFailure(error: unknown): string {
  if (error instanceof UsageError || error instanceof OperatorError || error instanceof ConfigError)
    return error.message
  if (error instanceof BugError) return `internal error: ${error.message}\n${error.stack ?? ''}`
  return `internal error, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
}
