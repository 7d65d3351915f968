import { parse } from 'smol-toml'

import type { Check, CheckLine } from './check.ts'

/** A key of the reference that has a successor. */
interface DeprecatedKey {
  readonly path: readonly string[]
  /** Of the reference: where it leaves. */
  readonly goneIn: string
  readonly instead: string
}

/** operator.md §3, the deprecated-key table. */
const DEPRECATED_KEYS: readonly DeprecatedKey[] = [
  { path: ['domain-fronting-ip'], goneIn: '2.3.0', instead: 'host in [domain-fronting]' },
  { path: ['domain-fronting', 'ip'], goneIn: '2.4.0', instead: 'host in [domain-fronting]' },
  { path: ['domain-fronting-port'], goneIn: '2.3.0', instead: 'port in [domain-fronting]' },
  {
    path: ['domain-fronting-proxy-protocol'],
    goneIn: '2.3.0',
    instead: 'proxy-protocol in [domain-fronting]',
  },
  { path: ['network', 'doh-ip'], goneIn: '2.3.0', instead: 'dns in [network]' },
]

/** Whether a path of the configuration is one of these keys, so that it is not reported twice. */
export function isDeprecatedPath(path: string): boolean {
  return DEPRECATED_KEYS.some((key) => key.path.join('.') === path.toLowerCase())
}

/** @param configText the file as it stands, already known to be valid TOML */
export function checkDeprecatedOptions(configText: string): Check {
  return {
    id: 'deprecated-options',
    title: 'Deprecated options',
    timeoutMs: 1000,
    run: async () => {
      const file = parse(configText.replace(/^\uFEFF/, ''), { integersAsBigInt: true })
      const found = DEPRECATED_KEYS.filter((key) => hasKey(file, key.path))
      if (found.length === 0) return { lines: [{ mark: 'ok', text: 'All good' }], advice: [] }
      return {
        lines: found.map(describe),
        advice: ['write the new option and take the old one out: both together only confuse'],
      }
    },
  }
}

function describe({ path, goneIn, instead }: DeprecatedKey): CheckLine {
  const [name, section] = [path.at(-1), path.at(-2)]
  const where = section === undefined ? '' : ` in [${section}]`
  return { mark: 'warn', text: `${name}${where} is deprecated, gone in ${goneIn}: use ${instead}` }
}

/** Letter case aside, as the configuration is read (decision C2). */
function hasKey(table: object, path: readonly string[]): boolean {
  const [name, ...rest] = path
  const entry = Object.entries(table).find(([key]) => key.toLowerCase() === name)
  if (entry === undefined || rest.length === 0) return entry !== undefined
  const value: unknown = entry[1]
  return typeof value === 'object' && value !== null && hasKey(value, rest)
}
