import type { ConfigProblem } from '#shared/errors'

import { formatPath } from './describe.ts'
import type { KeyLines } from './key-lines.ts'

/** Where something in the file is, for a report of it. */
export type Place = Pick<ConfigProblem, 'path' | 'line'>

/** The place of a key, with its line when that is known. */
export function locate(path: readonly string[], lines: KeyLines): Place {
  const line = lines.find(path)
  return { path: formatPath(path), ...(line === undefined ? {} : { line }) }
}
