import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** A directory with these files, which only their owner can read, removed when the test ends. */
export function makeDirectory(
  t: Pick<TestContext, 'after'>,
  files: Readonly<Record<string, string>> = {},
): string {
  const directory = mkdtempSync(join(tmpdir(), 'mtg-test-'))
  // Programs of the test may write into it until they are killed, by a hook that comes after this one.
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(directory, name), text, { mode: 0o600 })
  return directory
}
