import type { Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import { readConfig, type ReadConfig } from '#primary/config/read'
import type { ConfigWarning } from '#primary/config/warning'
import { formatConfigError, UsageError } from '#primary/exit'
import { type Exposure, findExposure, ownUid } from '#primary/file-exposure'
import { ConfigError, OperatorError } from '#shared/errors'
import { errorCode } from '#primary/error-code'

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
  const { text, stats } = await readWithStats(absolute).catch((error: unknown) => {
    throw explainUnreadable(path, error)
  })
  try {
    const read = readConfig(text, { fileName: path })
    const exposure = findExposure(stats, ownUid())
    const isHarmless = exposure === null || (exposure.others === 'read' && !read.holdsSecret)
    const warnings = isHarmless
      ? read.warnings
      : [warnOfMode(path, exposure, read.holdsSecret), ...read.warnings]
    return { ...read, warnings, path: absolute }
  } catch (error) {
    if (error instanceof ConfigError)
      throw new OperatorError(formatConfigError(error, path), { cause: error })
    throw error
  }
}

async function readWithStats(path: string): Promise<{ text: string; stats: Stats }> {
  const file = await open(path, 'r')
  try {
    return { text: await file.readFile('utf8'), stats: await file.stat() }
  } finally {
    await file.close()
  }
}

function warnOfMode(path: string, { others, mode }: Exposure, holdsSecret: boolean): ConfigWarning {
  const what = holdsSecret ? 'this file and the secrets in it' : 'this file'
  return {
    kind: 'unwise',
    path: '',
    expected: `others on this host can ${others} ${what} (mode ${mode}): chmod 600 ${path}`,
  }
}

function explainUnreadable(path: string, error: unknown): Error {
  const code = errorCode(error)
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new UsageError(`config file ${path} does not exist`)
    case 'EISDIR':
      return new UsageError(`config file ${path} is a directory`)
    case 'EACCES':
      return new OperatorError(`cannot read config file ${path}: permission denied`, { cause: error })
    default:
      return new OperatorError(`cannot read config file ${path}: ${code || String(error)}`, { cause: error })
  }
}
