import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, symlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { OWN_DIRECTORY } from './proxy-process.ts'

const run = promisify(execFile)

export interface Checkout {
  readonly directory: string
  readonly remove: () => Promise<void>
}

/**
 * A revision in a directory of its own, with our node_modules: its dependencies are taken to be ours.
 * Throws when there is no such revision.
 */
export async function checkOut(revision: string): Promise<Checkout> {
  const parent = mkdtempSync(join(tmpdir(), 'mtg-multi-revision-'))
  const directory = join(parent, 'checkout')
  const git = (...args: string[]): string[] => ['-C', OWN_DIRECTORY, 'worktree', ...args]
  const remove = async (): Promise<void> => {
    process.off('exit', removeAtOnce)
    await run('git', git('remove', '--force', directory))
    await rm(parent, { recursive: true })
  }
  const removeAtOnce = (): void => void execFileSync('git', git('remove', '--force', directory))
  try {
    await run('git', git('add', '--detach', directory, revision))
  } catch (cause) {
    await rm(parent, { recursive: true })
    throw new Error(`neither a checkout of this program nor a git revision: ${revision}`, { cause })
  }
  process.once('exit', removeAtOnce)
  symlinkSync(join(OWN_DIRECTORY, 'node_modules'), join(directory, 'node_modules'))
  return { directory, remove }
}
