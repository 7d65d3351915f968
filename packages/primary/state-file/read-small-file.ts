import type { Stats } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { OperatorError } from '#shared/errors'
import { errorCode } from '../error-code.ts'

/** MAX_USERS users have about 20 MB; what is larger is not ours. */
const MAX_FILE_BYTES = 128 * 1024 * 1024

/**
 * null when there is no such file; its text is empty when it is too large to be ours.
 * @throws OperatorError for what is no file: a pipe would be waited for without end, and a device such as /dev/null would
 *   be set aside as a broken file; the system's error for anything else
 */
export async function readSmallFile(path: string): Promise<{ text: string; stats: Stats } | null> {
  try {
    const stats = await stat(path)
    if (!stats.isFile())
      throw new OperatorError(`${path} is not a regular file: name another one, or remove it`)
    return { stats, text: stats.size > MAX_FILE_BYTES ? '' : await readFile(path, 'utf8') }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}
