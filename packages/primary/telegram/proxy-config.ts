import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { HostPort } from '#shared/dc'

/** The only data centre in the file whose addresses take direct connections; the others are middle proxies (wire.md §6). */
export const PUBLISHED_DC = 203
/** There are two or three. */
export const MAX_PUBLISHED_ADDRESSES = 32

/** ` proxy_for 203 91.105.192.100:443; ` */
const LINE = /^\s?proxy_for\s(\d{1,5})\s(\S*);\s?$/

export interface PublishedAddresses {
  /** In the order of the file, each once. */
  readonly addresses: readonly HostPort[]
  /** Lines for this data centre that are no such address, one that is out of reach, or too many. */
  readonly refused: number
}

/**
 * Where data centres may be that `url` tells of: a place on the Internet cannot send us into networks that only we can
 * reach, or to this host. What is told by such a network itself may be in it.
 */
export function chooseReach(url: string): (address: HostPort) => boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const isLocal = (isIPv4(host) || isIPv6(host)) && !isPublic(host)
  return (address) => isLocal || isPublic(address.host)
}

const isPublic = (ip: string): boolean => ipaddr.process(ip).range() === 'unicast'

/** The addresses of DC 203 in a body of `getProxyConfig` (family 4) or `getProxyConfigV6` (family 6). */
export function parseProxyConfig(
  body: string,
  family: 4 | 6,
  isInReach: (address: HostPort) => boolean,
): PublishedAddresses {
  const found = new Map<string, HostPort>()
  let refused = 0
  for (const line of body.split(/\r?\n/)) {
    const [, dc, text = ''] = LINE.exec(line) ?? []
    if (Number(dc) !== PUBLISHED_DC) continue
    const address = parseAddress(text, family)
    if (
      address === null ||
      !isInReach(address) ||
      (found.size === MAX_PUBLISHED_ADDRESSES && !found.has(text))
    )
      refused += 1
    else found.set(text, address)
  }
  return { addresses: [...found.values()], refused }
}

/** `91.105.192.100:443`, `[2a0a:f280:203:a:5000::100]:443`; names and zones are not taken. */
function parseAddress(text: string, family: 4 | 6): HostPort | null {
  const [, bracketed, plain, digits] = /^(?:\[([\da-f:.]+)\]|([\d.]+)):(\d{1,5})$/i.exec(text) ?? []
  const host = family === 4 ? plain : bracketed
  if (host === undefined || !(family === 4 ? isIPv4(host) : isIPv6(host))) return null
  const port = Number(digits)
  return port >= 1 && port <= 65_535 ? { host, port } : null
}
