import { isIPv4, isIPv6 } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { HostPort } from '#shared/dc'

/**
 * The header with which a balancer says whose connection it passes on
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
 *
 *   version 1   PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\r\n
 *   version 2   signature[12] | version, command | family, transport | length u16 | addresses | TLVs
 */

/** Version 1, its end of line included. */
export const MAX_V1_BYTES = 107
/** What follows the fixed part of version 2: 216 for UNIX paths, the rest for TLVs. As in the reference (wire.md §11.3). */
export const MAX_V2_BODY_BYTES = 4096

const V1_PREFIX = Buffer.from('PROXY ', 'latin1')
const V2_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const V2_FIXED_BYTES = 16

const COMMAND_LOCAL = 0x20
const COMMAND_PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
/** Unspecified, IPv4, IPv6, UNIX; and unspecified, stream, datagram. Others are not assigned. */
const MAX_FAMILY = 3
const MAX_TRANSPORT = 2

export interface ProxyHeader {
  readonly version: 1 | 2
  /** Who connected to the balancer; null when it speaks for itself (LOCAL, UNKNOWN) or of something that is no TCP. */
  readonly source: HostPort | null
  /** Where the peer's own bytes begin. */
  readonly headerBytes: number
}

export type ParsedProxyHeader =
  | ({ readonly ok: true } & ProxyHeader)
  | 'incomplete'
  /** `absent`: these bytes are no header. `malformed`: they begin like one. */
  | { readonly ok: false; readonly code: 'absent' | 'malformed' }

const ABSENT = { ok: false, code: 'absent' } as const
const MALFORMED = { ok: false, code: 'malformed' } as const

/** Parse what a connection begins with, version 1 or 2. Judged as soon as a byte is wrong. */
export function parseProxyHeader(bytes: Buffer): ParsedProxyHeader {
  if (beginsLike(V2_SIGNATURE, bytes)) return parseV2(bytes)
  if (beginsLike(V1_PREFIX, bytes)) return parseV1(bytes)
  return ABSENT
}

function beginsLike(expected: Buffer, bytes: Buffer): boolean {
  const length = Math.min(expected.length, bytes.length)
  return bytes.compare(expected, 0, length, 0, length) === 0
}

function parseV1(bytes: Buffer): ParsedProxyHeader {
  const line = bytes.subarray(0, MAX_V1_BYTES)
  const end = line.indexOf('\r')
  if (end < 0) return bytes.length < MAX_V1_BYTES ? 'incomplete' : MALFORMED
  if (end + 1 >= MAX_V1_BYTES) return MALFORMED
  if (end + 1 >= bytes.length) return 'incomplete'
  if (line[end + 1] !== 0x0a) return MALFORMED
  const headerBytes = end + 2
  const [, protocol, ...fields] = line.toString('latin1', 0, end).split(' ')
  // Whatever stands behind UNKNOWN is to be ignored.
  if (protocol === 'UNKNOWN') return { ok: true, version: 1, source: null, headerBytes }
  const [source = '', destination = '', sourcePort = '', destinationPort = '', ...rest] = fields
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isPlainIpv6 : null
  if (isAddress === null || rest.length > 0 || !isAddress(source) || !isAddress(destination)) return MALFORMED
  if (!isPort(sourcePort) || !isPort(destinationPort)) return MALFORMED
  return { ok: true, version: 1, source: { host: canonical(source), port: Number(sourcePort) }, headerBytes }
}

function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 0xffff
}

function parseV2(bytes: Buffer): ParsedProxyHeader {
  const [command, family] = [bytes[12], bytes[13]]
  if (command !== undefined && command !== COMMAND_LOCAL && command !== COMMAND_PROXY) return MALFORMED
  if (family !== undefined && (family >> 4 > MAX_FAMILY || (family & 0x0f) > MAX_TRANSPORT)) return MALFORMED
  if (bytes.length < V2_FIXED_BYTES) return 'incomplete'
  const bodyBytes = bytes.readUInt16BE(14)
  if (bodyBytes > MAX_V2_BODY_BYTES) return MALFORMED
  const addressBytes = family === TCP_OVER_IPV4 ? 4 : family === TCP_OVER_IPV6 ? 16 : 0
  const isNamed = command === COMMAND_PROXY && addressBytes > 0
  if (isNamed && bodyBytes < 2 * (addressBytes + 2)) return MALFORMED
  const headerBytes = V2_FIXED_BYTES + bodyBytes
  if (bytes.length < headerBytes) return 'incomplete'
  if (!isNamed) return { ok: true, version: 2, source: null, headerBytes }
  // source address | destination address | source port u16 | destination port u16 | TLVs, which nobody here needs
  const address = bytes.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + addressBytes)
  const port = bytes.readUInt16BE(V2_FIXED_BYTES + 2 * addressBytes)
  const host = canonical(ipaddr.fromByteArray([...address]).toString())
  return { ok: true, version: 2, source: { host, port }, headerBytes }
}

/** One spelling per address: IPv4-mapped is IPv4, IPv6 is as short as it can be. */
function canonical(address: string): string {
  return ipaddr.process(address).toString()
}

/**
 * A version 2 header without TLVs. Addresses of two families are both sent as IPv6, the IPv4 one mapped: the reference
 * ends with a crash here (wire.md §13 C1).
 */
export function buildProxyHeader(source: HostPort, destination: HostPort): Buffer {
  const [from, to] = [ipaddr.process(source.host), ipaddr.process(destination.host)]
  const isIpv4 = from.kind() === 'ipv4' && to.kind() === 'ipv4'
  const addresses = [from, to].flatMap((address) => (isIpv4 ? address : widen(address)).toByteArray())
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  const fixed = Buffer.of(
    COMMAND_PROXY,
    isIpv4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6,
    0,
    addresses.length + ports.length,
  )
  return Buffer.concat([V2_SIGNATURE, fixed, Buffer.from(addresses), ports])
}

function widen(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv6 {
  return address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress() : address
}
