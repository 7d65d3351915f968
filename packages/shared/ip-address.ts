/**
 * IP addresses from text into numbers, without an allocation: each accepted connection asks the IP lists. Strict as
 * the system's own reading: no leading zeros in IPv4, no zone, nothing around it.
 *
 *   IPv4   words[0]                     IPv6   words[0] … words[3], the first bits first
 *
 * IPv4-mapped IPv6 (::ffff:a.b.c.d, RFC 4291 §2.5.5.2) is IPv4 and nothing else.
 */

/** What a text is: 0 stands for no address at all. */
export type IpFamily = 4 | 6 | 0

const GROUPS = 8
const MAPPED_MARK = 0xffff
const DOT = 46
const ZERO = 48
const NINE = 57
const COLON = 58

/** The groups of the address that is being read: threads have no callers at the same time. */
const groups = new Uint16Array(GROUPS)

/** @param words four of them, written only if the text is an address */
export function parseIpAddress(text: string, words: Uint32Array): IpFamily {
  if (!text.includes(':')) {
    const address = parseIpv4(text, 0)
    if (address < 0) return 0
    words[0] = address
    return 4
  }
  if (!parseGroups(text)) return 0
  for (let word = 0; word < 4; word++) {
    words[word] = ((groups[2 * word]! << 16) | groups[2 * word + 1]!) >>> 0 // eight groups, always there
  }
  if (words[0] !== 0 || words[1] !== 0 || words[2] !== MAPPED_MARK) return 6
  words[0] = words[3]!
  return 4
}

/** The address that fills the text from `from` on, or -1. */
function parseIpv4(text: string, from: number): number {
  let address = 0
  let octet = -1
  let octets = 0
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= ZERO && code <= NINE) {
      if (octet === 0) return -1 // a leading zero: octal to some, decimal to others
      octet = octet < 0 ? code - ZERO : octet * 10 + code - ZERO
      if (octet > 255) return -1
    } else if (code === DOT) {
      if (octet < 0 || octets === 3) return -1
      address = address * 256 + octet
      octet = -1
      octets += 1
    } else return -1
  }
  return octet >= 0 && octets === 3 ? address * 256 + octet : -1
}

/** Fill `groups`; false when the text is no IPv6 address. */
function parseGroups(text: string): boolean {
  groups.fill(0)
  let count = 0
  /** How many groups stand before the `::`, or -1 while there was none. */
  let before = -1
  let at = 0
  if (text.startsWith('::')) {
    before = 0
    at = 2
  }
  while (at < text.length) {
    if (count === GROUPS) return false
    let group = 0
    let digits = 0
    let code = text.charCodeAt(at)
    for (let digit = hexDigit(code); digit >= 0; digit = hexDigit(code)) {
      group = group * 16 + digit
      digits += 1
      code = text.charCodeAt(at + digits) // NaN behind the end
    }
    if (code === DOT) {
      const address = parseIpv4(text, at)
      if (address < 0 || count > GROUPS - 2) return false
      groups[count] = address >>> 16
      groups[count + 1] = address & 0xffff
      count += 2
      break
    }
    if (digits === 0 || digits > 4) return false
    groups[count] = group
    count += 1
    at += digits
    if (at === text.length) break
    if (code !== COLON) return false
    at += 1
    if (text.charCodeAt(at) === COLON) {
      if (before >= 0) return false
      before = count
      at += 1
    } else if (at === text.length) return false // a single colon at the end
  }
  if (before < 0) return count === GROUPS
  if (count === GROUPS) return false // `::` stands for one group at least
  groups.copyWithin(GROUPS - (count - before), before, count)
  groups.fill(0, before, GROUPS - (count - before))
  return true
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO
  const letter = code | 0x20
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}
