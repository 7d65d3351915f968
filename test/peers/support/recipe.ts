import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const CONTRIB = fileURLToPath(new URL('../../../contrib/', import.meta.url))

/**
 * A file of contrib/ as it stands, but for ports, paths and hosts. Throws when it does not say any more what is to be
 * changed.
 */
export function adaptRecipe(path: string, changes: readonly (readonly [from: string, to: string])[]): string {
  let text = readFileSync(CONTRIB + path, 'utf8')
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`contrib/${path} does not say ${from} any more`)
    text = text.replaceAll(from, to)
  }
  return text
}
