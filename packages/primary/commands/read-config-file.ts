import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import { readConfig } from '#primary/config/read'
import { formatConfigError, UsageError } from '#primary/exit'
import type { ProxyConfig } from '#shared/config'
import { ConfigError, type ConfigProblem, OperatorError } from '#shared/errors'

export interface ConfigFile {
  readonly config: ProxyConfig
  readonly warnings: readonly ConfigProblem[]
  /** Absolute. */
  readonly path: string
}

/**
 * Read and validate a config file.
 * @param path as typed: relative to the working directory, `~/` for the home directory
 * @throws UsageError if there is no such file (operator.md §2: exit 80)
 * @throws OperatorError if it cannot be read, or with every problem of its contents
 */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const absolute = resolve(path.startsWith('~/') ? join(homedir(), path.slice(2)) : path)
  let text: string
  try {
    text = await readFile(absolute, 'utf8')
  } catch (error) {
    throw explainUnreadable(path, error)
  }
  try {
    return { ...readConfig(text, { fileName: path }), path: absolute }
  } catch (error) {
    if (error instanceof ConfigError)
      throw new OperatorError(formatConfigError(error, path), { cause: error })
    throw error
  }
}

function explainUnreadable(path: string, error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new UsageError(`config file ${path} does not exist`)
    case 'EISDIR':
      return new UsageError(`config file ${path} is a directory`)
    case 'EACCES':
      return new OperatorError(`cannot read config file ${path}: permission denied`, { cause: error })
    default:
      return new OperatorError(`cannot read config file ${path}: ${String(code ?? error)}`, { cause: error })
  }
}
