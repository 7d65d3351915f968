import { isIP, isIPv4, isIPv6 } from 'node:net'

import type { HttpAddress } from '#shared/config'
import { formatHostPort, type HostPort } from '#shared/dc'
import { isHostName } from '#shared/secret'
import ipaddr from 'ipaddr.js'

import { type Decoded, decodeOneOrMore, type Decoder, fail } from './decoders.ts'

const HOST_PORT = /^(?:\[([^\]]*)\]|([^[\]:]*)):(\d+)$/
const LOCALHOST = '127.0.0.1'
const MAX_PORT = 65_535
const UNIX_PREFIX = 'unix:'
/** What fits into `sockaddr_un` on macOS; Linux takes four bytes more. */
const MAX_UNIX_PATH_BYTES = 103

/**
 * An address to listen on: an IP literal, or `localhost` for 127.0.0.1, with a port from 1 to 65535. IPv6 stands in
 * brackets. Zones (`%eth0`) are refused. The host comes back in its shortest form, without brackets.
 */
export const decodeHostPort: Decoder<HostPort> = (found) =>
  parseHostPort(found, 'expected an IP address and a port, such as "0.0.0.0:3128" or "[::]:3128"', isIPv4)

/** An address to dial: as {@link decodeHostPort}, and host names too (decision C6: StatsD). */
export const decodeNamedHostPort: Decoder<HostPort> = (found) =>
  parseHostPort(found, 'expected a host and a port, such as "127.0.0.1:8125" or "statsd:8125"', isDialable)

/** Where an HTTP server of ours listens: an address, or `unix:` with an absolute path (decision C6). */
export const decodeHttpAddress: Decoder<HttpAddress> = (found) => {
  if (typeof found !== 'string' || !found.startsWith(UNIX_PREFIX))
    return parseHostPort(
      found,
      'expected an IP address and a port, such as "127.0.0.1:9090", or "unix:/path/to/socket"',
      isIPv4,
    )
  const path = found.slice(UNIX_PREFIX.length)
  if (!path.startsWith('/') || path.includes('\0')) return fail('expected an absolute path after "unix:"')
  if (Buffer.byteLength(path) > MAX_UNIX_PATH_BYTES)
    return fail(`expected a path of at most ${MAX_UNIX_PATH_BYTES} bytes after "unix:"`)
  return { ok: true, value: { path } }
}

/** `127.0.0.1:9090`, `unix:/run/mtg.sock` */
export function formatHttpAddress(address: HttpAddress): string {
  return 'path' in address ? `${UNIX_PREFIX}${address.path}` : formatHostPort(address)
}

function parseHostPort(
  found: unknown,
  expected: string,
  isPlainHost: (host: string) => boolean,
): Decoded<HostPort> {
  const match = typeof found === 'string' ? HOST_PORT.exec(found.trim()) : null
  if (match === null) return fail(expected)
  const [, inBrackets, plain = '', digits] = match
  const port = Number(digits)
  if (port < 1 || port > MAX_PORT) return fail(`expected a port from 1 to ${MAX_PORT}`)
  if (inBrackets !== undefined)
    return isPlainIp(inBrackets)
      ? { ok: true, value: { host: canonicalizeIp(inBrackets), port } }
      : fail(expected)
  if (plain.toLowerCase() === 'localhost') return { ok: true, value: { host: LOCALHOST, port } }
  return isPlainHost(plain) ? { ok: true, value: { host: plain, port } } : fail(expected)
}

/** One address or several, each once: two spellings of one address are the same. */
export const decodeHostPorts: Decoder<readonly HostPort[]> = (found) => {
  const decoded = decodeOneOrMore(decodeHostPort, 'address')(found)
  if (!decoded.ok) return decoded
  const seen = new Set<string>()
  for (const address of decoded.value) {
    const text = formatHostPort(address)
    if (seen.has(text)) return { ok: false, found: `${text} twice`, expected: 'expected each address once' }
    seen.add(text)
  }
  return decoded
}

/** An IPv4 address. One of the other family is ignored with a notice: the reference starts with it. */
export const decodePublicIpv4: Decoder<string | null> = (found) => {
  if (!isPlainIp(found)) return fail('expected an IPv4 address such as "203.0.113.1"')
  const ip = unmapIp(found)
  return isIPv4(ip)
    ? { ok: true, value: ip }
    : { ok: true, value: null, notice: 'ignored, because it is an IPv6 address: write it to public-ipv6' }
}

/** As {@link decodePublicIpv4}, for IPv6. */
export const decodePublicIpv6: Decoder<string | null> = (found) => {
  if (!isPlainIp(found)) return fail('expected an IPv6 address such as "2001:db8::1", without brackets')
  const ip = unmapIp(found)
  return isIPv6(ip)
    ? { ok: true, value: ip }
    : { ok: true, value: null, notice: 'ignored, because it is an IPv4 address: write it to public-ipv4' }
}

export const decodeIp: Decoder<string> = (found) =>
  isPlainIp(found)
    ? { ok: true, value: canonicalizeIp(found) }
    : fail('expected an IP address, without port and brackets')

/** A DNS name (decision C7) or an IP literal, without a port. What no DNS knows is taken with a notice. */
export const decodeHost: Decoder<string> = (found) => {
  if (typeof found !== 'string' || found === '' || /[\s/?#]/.test(found) || isPortLike(found))
    return fail('expected a host name or an IP address, without port and scheme, such as "example.com"')
  if (isDialable(found)) return { ok: true, value: isPlainIp(found) ? canonicalizeIp(found) : found }
  return { ok: true, value: found, notice: 'not a name that DNS can have: nobody will be connected there' }
}

/** One network or several: an IP address, or CIDR such as `10.0.0.0/8`. Comes back as CIDR, host bits masked off. */
export const decodeNetworks: Decoder<readonly string[]> = decodeOneOrMore((found) => {
  const expected = 'expected an IP address or a network, such as "127.0.0.1" or "10.0.0.0/8"'
  if (typeof found !== 'string') return fail(expected)
  const [address = '', bits, ...rest] = found.split('/')
  if (!isPlainIp(address) || rest.length > 0) return fail(expected)
  const maxBits = isIPv4(address) ? 32 : 128
  const length = bits === undefined ? maxBits : /^\d{1,3}$/.test(bits) ? Number(bits) : Infinity
  if (length > maxBits) return fail(`expected at most /${maxBits} after the address`)
  const cidr = `${address}/${length}`
  const network = isIPv4(address)
    ? ipaddr.IPv4.networkAddressFromCIDR(cidr)
    : ipaddr.IPv6.networkAddressFromCIDR(cidr)
  return { ok: true, value: `${network.toString()}/${length}` }
}, 'network')

/** An IP literal without zone, or a name that DNS can have: four dotted numbers that are no address are none. */
export function isDialable(host: string): boolean {
  return isPlainIp(host) || (isHostName(host) && !/^[\d.]+$/.test(host))
}

function isPortLike(text: string): boolean {
  return text.includes(':') && !isPlainIp(text)
}

function isPlainIp(found: unknown): found is string {
  return typeof found === 'string' && isIP(found) !== 0 && !found.includes('%')
}

/** `::ffff:203.0.113.1` is an IPv4 address in the clothes of the other family. */
function unmapIp(ip: string): string {
  return ipaddr.process(ip).toString()
}

/** The shortest form. */
export function canonicalizeIp(ip: string): string {
  return isIPv6(ip) ? ipaddr.parse(ip).toString() : ip
}

/** One spelling for each address, an IPv4 address in the clothes of the other family among them; what is none stays. */
export function normalizeIp(address: string): string {
  return ipaddr.isValid(address) ? ipaddr.process(address).toNormalizedString() : address
}

/** Whether only this machine can reach the address. */
export function isLoopback(ip: string): boolean {
  return ipaddr.process(ip).range() === 'loopback'
}
