import { readFileSync } from 'node:fs'

/** The version in package.json, which is two folders up in the sources and in `dist` alike. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  // Our own file: its shape is known.
  const { version } = JSON.parse(text) as { version: string }
  return version
}
