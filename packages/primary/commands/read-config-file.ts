import { open } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import { readConfig, type ReadConfig } from '#primary/config/read'
import type { ConfigWarning } from '#primary/config/warning'
import { formatConfigError, UsageError } from '#primary/exit'
import { ConfigError, OperatorError } from '#shared/errors'

/** Group and others. */
const OTHERS_MAY_READ = 0o044

export interface ConfigFile extends ReadConfig {
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
  const { text, mode } = await readWithMode(absolute).catch((error: unknown) => {
    throw explainUnreadable(path, error)
  })
  try {
    const read = readConfig(text, { fileName: path })
    const exposed = read.holdsSecret && (mode & OTHERS_MAY_READ) !== 0
    const warnings = exposed ? [warnOfMode(path, mode), ...read.warnings] : read.warnings
    return { ...read, warnings, path: absolute }
  } catch (error) {
    if (error instanceof ConfigError)
      throw new OperatorError(formatConfigError(error, path), { cause: error })
    throw error
  }
}

async function readWithMode(path: string): Promise<{ text: string; mode: number }> {
  const file = await open(path, 'r')
  try {
    return { text: await file.readFile('utf8'), mode: (await file.stat()).mode }
  } finally {
    await file.close()
  }
}

function warnOfMode(path: string, mode: number): ConfigWarning {
  const found = `mode ${(mode & 0o777).toString(8).padStart(4, '0')}`
  return {
    kind: 'unwise',
    path: '',
    expected: `others on this host can read this file and the secrets in it (${found}): chmod 600 ${path}`,
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
