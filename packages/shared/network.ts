import ipaddr from 'ipaddr.js'

const IPV4_MAPPED = '::ffff:'

/** IPv4 clients of a dual-stack listener come as `::ffff:a.b.c.d`; everywhere else they are IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith(IPV4_MAPPED) && address.includes('.')
    ? address.slice(IPV4_MAPPED.length)
    : address
}

/**
 * The network that an address shares with its neighbours: /24 for IPv4, /64 for IPv6, as a text key.
 * @param address an IP literal, with a zone or without
 */
export function toNetwork(address: string): string {
  if (!address.includes(':')) return address.slice(0, address.lastIndexOf('.'))
  const [plain = address] = address.split('%')
  return ipaddr.IPv6.isValid(plain) ? ipaddr.IPv6.parse(plain).parts.slice(0, 4).join(':') : address
}

/** What counts as one client where limits are by address: an IPv4 address, or the /64 that an IPv6 host may choose from. */
export function toSource(address: string): string {
  return address.includes(':') ? toNetwork(address) : address
}
