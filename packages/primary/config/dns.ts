import { isIP } from 'node:net'

import type { DnsConfig } from '#shared/config'
import { formatHostPort } from '#shared/dc'

import { canonicalizeIp, isDialable } from './address.ts'
import { type Decoder, fail } from './decoders.ts'
import { describeLocation, type Location, parseLocation } from './location.ts'

const SYSTEM = 'system'
// RFC 1035 §4.2.1, RFC 7858 §3.1, RFC 9110 §4.2.2.
const UDP_PORT = 53
const TLS_PORT = 853
const HTTPS_PORT = 443
/** RFC 8484 §4.1.1 leaves it to the operator; every public resolver has it here. */
const DOH_PATH = '/dns-query'

const EXPECTED =
  'expected "system", an IP address, "udp://IP", "tls://host" or "https://host/path", each with a port if need be'

/** A resolver (operator.md §1.2, DNS URI): `1.1.1.1`, `udp://…`, `tls://…`, `https://…`; `system` for none of them. */
export const decodeDns: Decoder<DnsConfig> = (found) => {
  if (typeof found !== 'string') return fail(EXPECTED)
  if (found.toLowerCase() === SYSTEM) return { ok: true, value: { kind: 'system' } }
  if (isIP(found) !== 0 && !found.includes('%'))
    return { ok: true, value: { kind: 'udp', host: canonicalizeIp(found), port: UDP_PORT } }
  const location = parseLocation(found)
  const value = location === null ? null : buildDns(location)
  return typeof value === 'object' && value !== null
    ? { ok: true, value }
    : { ...fail(value ?? EXPECTED), found: describeLocation(found) }
}

/** DNS over HTTPS at an address, which is what the deprecated `network.doh-ip` means. */
export function buildDohByIp(ip: string): DnsConfig {
  return { kind: 'https', host: ip, port: HTTPS_PORT, path: DOH_PATH }
}

export function formatDns(dns: DnsConfig): string {
  switch (dns.kind) {
    case 'system':
      return SYSTEM
    case 'https':
      // A paid resolver knows its customers by what stands in the query.
      return `https://${formatHostPort(dns)}${dns.path.replace(/\?[^]*$/, '?…')}`
    case 'udp':
    case 'tls':
      return `${dns.kind}://${formatHostPort(dns)}`
  }
}

/** The resolver, or what would be right. */
function buildDns({ scheme, username, host, port, path, query }: Location): DnsConfig | string {
  if (username !== null) return 'expected no user name and no password in the address of a resolver'
  const isAddress = isIP(host) !== 0
  if (!isAddress && !isDialable(host)) return EXPECTED
  const at = isAddress ? canonicalizeIp(host) : host
  switch (scheme) {
    case 'udp':
      if (!isAddress) return 'expected an IP address after "udp://"'
      return path === ''
        ? { kind: 'udp', host: at, port: port ?? UDP_PORT }
        : 'expected no path after the address'
    case 'tls':
      return path === ''
        ? { kind: 'tls', host: at, port: port ?? TLS_PORT }
        : 'expected no path after the host'
    case 'https': {
      const search = query.size === 0 ? '' : `?${query.toString()}`
      return {
        kind: 'https',
        host: at,
        port: port ?? HTTPS_PORT,
        path: `${path === '' ? DOH_PATH : path}${search}`,
      }
    }
    default:
      return EXPECTED
  }
}
