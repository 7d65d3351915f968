import type { DcRoutes, UpstreamProxy } from '#shared/config'
import type { DcTable } from '#shared/dc'
import type { ConfigProblem } from '#shared/errors'

import type { TomlTable } from './decoders.ts'
import { describeSecretValue } from './describe.ts'
import type { KeyLines } from './key-lines.ts'
import { GLOBAL_KEYS } from './match-keys.ts'
import { locate } from './place.ts'
import { decodeRoute } from './upstream-proxy.ts'
import type { ConfigWarning } from './warning.ts'

/** The entries of `[dc-routes]`: `203 = "socks5://127.0.0.1:1080"`. `dcs` are the data centres that there are. */
export function collectDcRoutes(
  section: TomlTable,
  dcs: DcTable,
  lines: KeyLines,
): { routes: DcRoutes; problems: readonly ConfigProblem[]; warnings: readonly ConfigWarning[] } {
  const routes: Record<number, readonly UpstreamProxy[]> = {}
  const problems: ConfigProblem[] = []
  const warnings: ConfigWarning[] = []
  const known = Object.keys(dcs)
  for (const [name, value] of Object.entries(section)) {
    const path = ['dc-routes', name]
    const at = locate(path, lines)
    const decoded = decodeRoute(value)
    if (GLOBAL_KEYS.has(name.toLowerCase()))
      problems.push({ ...at, expected: `${name} is a global key: move it above the first [section]` })
    else if (!known.includes(name))
      problems.push({ ...at, expected: `expected the number of a data centre: ${known.join(', ')}` })
    else if (!decoded.ok)
      problems.push({
        ...at,
        found: decoded.found ?? describeSecretValue(value),
        expected: decoded.expected,
      })
    else {
      routes[Number(name)] = decoded.value
      if (decoded.notice !== undefined)
        warnings.push({
          kind: 'changed',
          ...at,
          found: describeSecretValue(value),
          expected: decoded.notice,
        })
    }
  }
  return { routes, problems, warnings }
}
