import type { DcTable, HostPort } from '#shared/dc'
import type { ConfigProblem } from '#shared/errors'

import { decodeHostPorts } from './address.ts'
import type { TomlTable } from './decoders.ts'
import { describeValue } from './describe.ts'
import type { KeyLines } from './key-lines.ts'
import { GLOBAL_KEYS } from './match-keys.ts'
import { locate } from './place.ts'

/** A data centre travels as a signed 16-bit integer whose sign tells media from other traffic (wire.md §5). */
const MAX_DC = 32_767

/** The entries of `[dc]`: `2 = ["127.0.0.1:8443"]` (decision W10). */
export function collectDcOverrides(
  section: TomlTable,
  lines: KeyLines,
): { overrides: DcTable; problems: readonly ConfigProblem[] } {
  const overrides: Record<number, readonly HostPort[]> = {}
  const problems: ConfigProblem[] = []
  for (const [name, value] of Object.entries(section)) {
    const path = ['dc', name]
    const at = locate(path, lines)
    const decoded = decodeHostPorts(value)
    if (GLOBAL_KEYS.has(name.toLowerCase()))
      problems.push({ ...at, expected: `${name} is a global key: move it above the first [section]` })
    else if (!/^[1-9]\d{0,4}$/.test(name) || Number(name) > MAX_DC)
      problems.push({ ...at, expected: `expected the number of a data centre, from 1 to ${MAX_DC}` })
    else if (decoded.ok) overrides[Number(name)] = decoded.value
    else problems.push({ ...at, found: decoded.found ?? describeValue(value), expected: decoded.expected })
  }
  return { overrides, problems }
}
