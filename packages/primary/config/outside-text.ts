import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'

import { type Decoded, fail } from './decoders.ts'
import { describeValue } from './describe.ts'
import { describeLocation } from './location.ts'
import { errorCode } from '../error-code.ts'

/** No secret and no token comes near it; a log file given by mistake does. */
const MAX_FILE_BYTES = 4096
const ENV = 'env:'
const FILE = 'file:'

/** Whether a text says where a value is to be had, in place of the value (decision C8). */
export function isOutside(text: string): boolean {
  return text.startsWith(ENV) || text.startsWith(FILE)
}

/** What an error may call a text of {@link isOutside}: the name of the variable or the file, never its contents. */
export function describeOutside(text: string): string {
  return text.startsWith(ENV)
    ? `"${ENV}${describeName(text.slice(ENV.length))}"`
    : `"${FILE}${describePath(text)}"`
}

/**
 * The value behind `env:NAME` or `file:/path` (relative to the working directory), without the white space around it.
 * Failures name the variable or the file and never show what is in it.
 */
export function readOutside(text: string): Decoded<string> {
  const decoded = text.startsWith(ENV)
    ? readVariable(text.slice(ENV.length))
    : readFile(text.slice(FILE.length))
  if (!decoded.ok) return { ...decoded, found: describeOutside(text) }
  return decoded
}

function readVariable(name: string): Decoded<string> {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return fail('expected the name of a variable after "env:"')
  const value = process.env[name]?.trim()
  if (value === undefined) return fail('expected this environment variable to be set')
  return value === '' ? fail('expected this environment variable not to be empty') : { ok: true, value }
}

function readFile(path: string): Decoded<string> {
  if (path === '' || path.includes('\0')) return fail('expected the path of a file after "file:"')
  try {
    const stats = statSync(path)
    // Pipes and terminals would wait for somebody to write.
    if (!stats.isFile()) return fail('expected a regular file')
    if (stats.size > MAX_FILE_BYTES) return fail(`expected a file of at most ${MAX_FILE_BYTES} bytes`)
    const value = readFileSync(resolve(path), 'utf8').trim()
    return value === '' ? fail('expected this file not to be empty') : { ok: true, value }
  } catch (error) {
    return fail(`expected a file that can be read (${describeErrno(error)})`)
  }
}

function describeErrno(error: unknown): string {
  const code = errorCode(error)
  return code === 'ENOENT' ? 'there is none' : code
}

/** Names of variables are long words, as secrets are: what has the shape of NAME_OF_A_VARIABLE is shown. */
function describeName(name: string): string {
  return /^[A-Z0-9]+_[A-Z0-9_]*$/.test(name) ? name : describeValue(name).replace(/^"([^"]*)"$/, '$1')
}

function describePath(text: string): string {
  return describeLocation(text.slice(FILE.length)).replace(/^"([^"]*)"$/, '$1')
}
