import { parseIpAddress } from '#shared/ip-address'
import type { BadLine, CompiledSource } from '#shared/ip-list'
import { NetworkCollector } from './networks.ts'

/** The longest network is an IPv6 address with an IPv4 tail and its prefix. What is longer is not looked at. */
const MAX_NETWORK_CHARS = 49
/** So many bad lines are shown; the others are counted. */
const MAX_BAD_LINES = 5
const MAX_SHOWN_CHARS = 40

const NEWLINE = 0x0a
const HASH = 0x23
const BLANK = 0x20
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const
/** Words that an address is read into. */
const words = new Uint32Array(4)

export type ParsedIpList = { ok: true; source: CompiledSource } | { ok: false; code: 'too-many-networks' }

/**
 * The networks of a text in FireHOL's grammar (operator.md §9): a CIDR or a single address a line, IPv4 and IPv6 mixed,
 * `#` begins a comment, CRLF and a byte order mark are fine. Host bits are masked off. Any other line is skipped and
 * counted (decision W14).
 */
export function parseIpList(text: Uint8Array): ParsedIpList {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  const networks = new NetworkCollector()
  const badLines: BadLine[] = []
  let badLineCount = 0
  let start = BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte) ? BYTE_ORDER_MARK.length : 0
  for (let line = 1; start < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline
    if (!readLine(bytes, start, end, networks)) {
      badLineCount += 1
      if (badLines.length < MAX_BAD_LINES) badLines.push({ line, text: show(bytes, start, end) })
    }
    if (networks.isTooLarge) return { ok: false, code: 'too-many-networks' }
    start = end + 1
  }
  const set = networks.toSet()
  return {
    ok: true,
    source: { networks: set.networks, networkCount: set.count, badLineCount, badLines },
  }
}

/** False for a line that is neither a network nor empty. */
function readLine(bytes: Buffer, from: number, to: number, networks: NetworkCollector): boolean {
  let start = from
  while (start < to && bytes[start]! <= BLANK) start += 1 // carriage returns and tabs are blanks too
  let end = start
  while (end < to && bytes[end] !== HASH) {
    end += 1
    // Blanks may follow without end.
    if (end - start > MAX_NETWORK_CHARS && bytes[end - 1]! > BLANK) return false
  }
  while (end > start && bytes[end - 1]! <= BLANK) end -= 1
  return start === end || addNetwork(bytes.toString('latin1', start, end), networks)
}

function addNetwork(text: string, networks: NetworkCollector): boolean {
  const slash = text.indexOf('/')
  const family = parseIpAddress(slash < 0 ? text : text.slice(0, slash), words)
  if (family === 0) return false
  const isMapped = family === 4 && text.includes(':')
  const bits = family === 4 && !isMapped ? 32 : 128
  const prefix = slash < 0 ? bits : parsePrefix(text, slash + 1, bits)
  if (prefix < 0) return false
  if (family === 6) networks.addV6(words, prefix)
  else if (!isMapped) networks.addV4(words[0]!, prefix)
  // A prefix that reaches beyond the mapped block would mean more than IPv4.
  else if (prefix < 96) return false
  else networks.addV4(words[0]!, prefix - 96)
  return true
}

/** Digits alone, at most three; -1 for anything else. */
function parsePrefix(text: string, from: number, max: number): number {
  const digits = text.slice(from)
  if (!/^\d{1,3}$/.test(digits)) return -1
  const prefix = Number(digits)
  return prefix <= max ? prefix : -1
}

function show(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('latin1', from, Math.min(to, from + MAX_SHOWN_CHARS)).replaceAll(/[^ -~]/g, '?')
  return to - from > MAX_SHOWN_CHARS ? `${text}…` : text.trimEnd()
}
