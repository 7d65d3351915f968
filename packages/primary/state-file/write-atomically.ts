import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode } from '../error-code.ts'

/** Names of users stand in it. */
const OWNER_ONLY = 0o600

/**
 * Replace a file so that it is whole at any moment, the old one or the new one, also after a power cut: into a temporary
 * file beside it, onto the disk, into its place, and the new name onto the disk as well.
 * @throws the system's error; the file is as it was then
 */
export async function writeAtomically(path: string, text: string): Promise<void> {
  // There is one owner, so one temporary name is enough, and what a crash left of it is overwritten.
  const temporary = `${path}.tmp`
  try {
    const file = await open(temporary, 'w', OWNER_ONLY)
    try {
      await file.writeFile(text)
      await sync(file)
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => {}) // a full disk wants its blocks back
    throw error
  }
  const folder = await open(dirname(path), 'r')
  try {
    await sync(folder)
  } finally {
    await folder.close()
  }
}

/** Node's permission model knows no fsync: what is written there outlives the process, but perhaps not a power cut. */
async function sync(file: FileHandle): Promise<void> {
  try {
    await file.sync()
  } catch (error) {
    if (errorCode(error) !== 'ERR_ACCESS_DENIED') throw error
  }
}
