import { type ConfigProblem, formatConfigProblem } from '#shared/errors'

/** What an operator should know of a configuration with which the program starts all the same. */
export interface ConfigWarning extends ConfigProblem {
  readonly kind: WarningKind
  /** The key to use in place of a deprecated one. */
  readonly instead?: string
  /** The whole line of the log, where scripts know it by its words. */
  readonly message?: string
}

export type WarningKind =
  /** Nobody knows the key. */
  | 'unknown'
  /** The key has another name now. */
  | 'deprecated'
  /** The key does nothing, in this version or ever. */
  | 'no-effect'
  /** The value was taken with a change. */
  | 'changed'
  /** It works, but seldom as it was meant. */
  | 'unwise'

/** `concurency (line 2): unknown key, ignored: did you mean concurrency?` */
export function formatConfigWarning(warning: ConfigWarning): string {
  return warning.message ?? formatConfigProblem(warning)
}
