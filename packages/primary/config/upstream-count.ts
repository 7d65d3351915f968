import type { ConfigProblem } from '#shared/errors'
import { countUpstreams, MAX_PROXIES } from '#shared/dial/upstream-state'

import type { Place } from './place.ts'
import type { ConfigValues } from './schema.ts'

/**
 * The memory that threads share has room for so many SOCKS5 servers, over all lists.
 * @param place where a key stands in the file
 */
export function findTooManyUpstreams(
  { 'network.proxies': proxies, 'dc-routes': routes }: ConfigValues,
  place: (key: 'network.proxies' | 'dc-routes') => Place,
): ConfigProblem[] {
  const count = countUpstreams(proxies, routes)
  if (count <= MAX_PROXIES) return []
  // The list that is too long by itself, else the one that comes on top of it.
  const key = countUpstreams(proxies, {}) > MAX_PROXIES ? 'network.proxies' : 'dc-routes'
  return [
    {
      ...place(key),
      found: `${count} SOCKS5 servers in network.proxies and [dc-routes]`,
      expected: `expected at most ${MAX_PROXIES} different ones`,
    },
  ]
}
