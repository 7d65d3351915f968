import { readFileSync } from 'node:fs'
import { parse, type TomlTable } from 'smol-toml'

/**
 * What of an operator's file would leave this machine, collide with the proxy that runs with it, or turn the load away.
 * Where it listens, its data centres, its site and its users are the bench's in any case (proxy-process.ts).
 */
const LEFT_OUT = [
  'secret',
  'api-bind-to',
  'api-token',
  'state-file',
  'auto-update',
  'proxy-protocol-listener',
  'public-ipv4',
  'public-ipv6',
  'domain-fronting-port',
  'domain-fronting-ip',
  'domain-fronting-proxy-protocol',
  'dc-routes',
  'throttle',
] as const
const LEFT_OUT_OF_SECTIONS: Readonly<Record<string, readonly string[]>> = {
  network: ['proxies', 'dns'],
  defense: ['blocklist', 'allowlist'],
  stats: ['statsd', 'prometheus'],
}

/** A copy of what the file says about everything else: threads, pacing, limits, socket options. The file stays as it is. */
export function readOperatorConfig(path: string): TomlTable {
  const table = omit(parse(readText(path)), LEFT_OUT)
  for (const [section, keys] of Object.entries(LEFT_OUT_OF_SECTIONS)) {
    const values = table[section]
    if (values !== undefined) table[section] = omit(values as TomlTable, keys) // sections are tables
  }
  const { defense } = table
  const doppelganger = defense === undefined ? undefined : (defense as TomlTable)['doppelganger']
  if (doppelganger !== undefined) {
    const rest = omit(doppelganger as TomlTable, ['urls'])
    table['defense'] = { ...(defense as TomlTable), doppelganger: rest }
  }
  return table
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    throw new Error(`cannot read ${path}: ${code === 'ENOENT' ? 'no such file' : String(code)}`, { cause })
  }
}

/** Keys match case-insensitively, as they do in the program. */
function omit(table: TomlTable, names: readonly string[]): TomlTable {
  return Object.fromEntries(Object.entries(table).filter(([key]) => !names.includes(key.toLowerCase())))
}
