import { type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'

import type { IpListSource } from '#shared/config'

import { maskUserInfo } from './describe.ts'
import { type Decoded, decodeList, type Decoder, fail } from './decoders.ts'
import { describeLocation, parseLocation } from './location.ts'
import type { Shown } from './schema-row.ts'

const OWNER_MAY_READ = 0o400
const EXPECTED = 'expected an http:// or https:// URL, or the path of a file that exists'

/**
 * Where an IP list comes from (operator.md §1.2, Blocklist URI): a file that exists, relative to the working directory,
 * else a URL.
 */
const decodeSource: Decoder<IpListSource> = (found) => {
  if (typeof found !== 'string' || found === '') return fail(EXPECTED)
  const file = decodeFile(found)
  if (file !== null) return file
  const location = parseLocation(found)
  return location !== null && /^https?$/.test(location.scheme)
    ? { ok: true, value: { kind: 'url', url: found } }
    : { ...fail(EXPECTED), found: describeLocation(found) }
}

export const decodeSources: Decoder<readonly IpListSource[]> = decodeList(decodeSource)

/** Without credentials and queries: keys of paid lists stand there. */
export function showSources(sources: readonly IpListSource[]): Shown {
  return sources.map((source) =>
    source.kind === 'url' ? maskUserInfo(source.url).replace(/\?[^]*$/, '?…') : source.path,
  )
}

/** null: nothing there has this name, or could have. */
function decodeFile(path: string): Decoded<IpListSource> | null {
  const stats = findFile(path)
  if (stats === undefined) return null
  if (stats.isFile() && (stats.mode & OWNER_MAY_READ) !== 0)
    return { ok: true, value: { kind: 'file', path: resolve(path) } }
  return { ...fail('expected a regular file that its owner may read'), found: describeLocation(path) }
}

function findFile(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    // Longer than a path can be, or in a directory that we may not enter.
    return undefined
  }
}

/** Pages that are visited over TLS, since it is TLS that is to be learnt (operator.md §1.2, Https URL). */
export const decodeHttpsUrls: Decoder<readonly string[]> = decodeList((found) => {
  const location = typeof found === 'string' ? parseLocation(found) : null
  return typeof found === 'string' && location?.scheme === 'https'
    ? { ok: true, value: found }
    : { ...fail('expected an https:// URL'), found: describeLocation(found) }
})
