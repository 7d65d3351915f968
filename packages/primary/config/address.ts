import { isIP, isIPv4, isIPv6 } from 'node:net'

import { formatHostPort, type HostPort } from '#shared/dc'
import { isHostName } from '#shared/secret'
import ipaddr from 'ipaddr.js'

import { decodeOneOrMore, type Decoder, fail } from './decoders.ts'

const HOST_PORT = /^(?:\[([^\]]*)\]|([^[\]:]*)):(\d{1,5})$/
const LOCALHOST = '127.0.0.1'

/**
 * An address to listen on or to dial: an IP literal, or `localhost` for 127.0.0.1, with a port from 1 to 65535.
 * IPv6 stands in brackets. Zones (`%eth0`) are refused. The host comes back in its shortest form, without brackets.
 */
export const decodeHostPort: Decoder<HostPort> = (found) => {
  const expected = 'expected an IP address and a port, such as "0.0.0.0:3128" or "[::]:3128"'
  const match = typeof found === 'string' ? HOST_PORT.exec(found.trim()) : null
  if (match === null) return fail(expected)
  const [, inBrackets, plain = '', digits] = match
  const port = Number(digits)
  if (port < 1 || port > 65_535) return fail('expected a port from 1 to 65535')
  if (inBrackets !== undefined)
    return isPlainIpv6(inBrackets)
      ? { ok: true, value: { host: canonicalizeIp(inBrackets), port } }
      : fail(expected)
  if (plain.toLowerCase() === 'localhost') return { ok: true, value: { host: LOCALHOST, port } }
  return isIPv4(plain) ? { ok: true, value: { host: plain, port } } : fail(expected)
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

export const decodeIpv4: Decoder<string> = (found) =>
  typeof found === 'string' && isIPv4(found)
    ? { ok: true, value: found }
    : fail('expected an IPv4 address such as "203.0.113.1"')

export const decodeIpv6: Decoder<string> = (found) =>
  typeof found === 'string' && isPlainIpv6(found)
    ? { ok: true, value: canonicalizeIp(found) }
    : fail('expected an IPv6 address such as "2001:db8::1", without brackets')

/** A DNS name (decision C7) or an IP literal, without a port. */
export const decodeHost: Decoder<string> = (found) => {
  if (typeof found === 'string') {
    // Four dotted numbers that are no address pass as a DNS name, but no resolver knows them.
    if (isIPv4(found) || isPlainIpv6(found)) return { ok: true, value: found }
    if (isHostName(found) && !/^[\d.]+$/.test(found)) return { ok: true, value: found }
  }
  return fail('expected a host name or an IP address, without port and scheme, such as "example.com"')
}

function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function canonicalizeIp(text: string): string {
  return isIP(text) === 6 ? ipaddr.parse(text).toString() : text
}
