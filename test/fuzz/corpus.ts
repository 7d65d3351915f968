import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('corpus/', import.meta.url))

/** `failed`: a defect that was mended, so that it stays mended. `reached`: code that nothing else reaches. */
export type CorpusKind = 'failed' | 'reached'

export interface CorpusFile {
  readonly name: string
  readonly input: Buffer
}

/** The inputs that are kept for a target, in the order of their names. */
export function readCorpus(target: string): CorpusFile[] {
  return listNames(target).map((name) => ({ name, input: readFileSync(join(FOLDER, target, name)) }))
}

/** Named by its contents: the same input is kept once. Returns the path. @param corpus in place of the one in test/fuzz */
export function keepInput(target: string, kind: CorpusKind, input: Uint8Array, corpus = FOLDER): string {
  const folder = join(corpus, target)
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${kind}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`)
  writeFileSync(path, input)
  return path
}

/** Put these in place of the ones that were kept for what they reach. */
export function replaceReached(target: string, inputs: readonly Buffer[]): void {
  for (const name of listNames(target))
    if (name.startsWith('reached-')) unlinkSync(join(FOLDER, target, name))
  for (const input of inputs) keepInput(target, 'reached', input)
}

function listNames(target: string): string[] {
  try {
    return readdirSync(join(FOLDER, target)).sort()
  } catch {
    return [] // a new target has none
  }
}
