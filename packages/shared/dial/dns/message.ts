import { isIPv4, isIPv6 } from 'node:net'
import dnsPacket, { type Answer as ResourceRecord, type DecodedPacket } from 'dns-packet'

/** DNS messages (RFC 1035 §4): bytes in, values out. Answers come from the network and may be anything. */

export type RecordType = 'A' | 'AAAA'

export interface Question {
  /** Lower case, without the trailing dot, valid by `isHostName`. */
  readonly name: string
  readonly type: RecordType
}

export type DnsAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly ttlMs: number }
  /** The name has no such address; `exists` tells whether there is such a name at all. */
  | { readonly kind: 'none'; readonly exists: boolean; readonly ttlMs: number }
  /** More than one datagram holds: ask again over TCP (RFC 1035 §4.2.1). */
  | { readonly kind: 'truncated' }
  /** The server will not or cannot tell, such as SERVFAIL. */
  | { readonly kind: 'failed'; readonly rcode: string }

/** Larger than any set of addresses that makes sense; one stream message could have 65535 bytes. */
export const MAX_MESSAGE_BYTES = 16_384
/** Addresses taken of one answer; they are tried one after the other. */
export const MAX_ADDRESSES = 16
/** Records looked at, all sections together: the codec makes room for as many as the header claims. */
const MAX_RECORDS = 256
/** Names that stand for another name in one answer; resolvers give up at about as many. */
const MAX_CNAMES = 16

const HEADER_BYTES = 12
const ANSWERS_AT = 6
const FLAGS_AT = 2
const IS_RESPONSE = 0x8000
const IS_TRUNCATED = 0x0200
/** RFC 1035 §2.3.4, less the root's length byte and the first label's. */
const MAX_NAME_LENGTH = 253
const HOST_NAME =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** Whether this can be asked for: the codec would write longer labels as something else. */
export function isHostName(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH && HOST_NAME.test(name)
}

/** A message with one question that asks the server to look further itself. */
export function buildQuery(id: number, { name, type }: Question): Buffer {
  return dnsPacket.encode({
    type: 'query',
    id,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type, class: 'IN' }],
  })
}

/** The id that a message carries, or null when it is no answer at all. */
export function readAnswerId(message: Buffer): number | null {
  if (message.length < HEADER_BYTES) return null
  return (message.readUInt16BE(FLAGS_AT) & IS_RESPONSE) === 0 ? null : message.readUInt16BE(0)
}

/**
 * What a message says about a question.
 * @returns null when it is not the answer to this question with this id, or no DNS message
 */
export function parseAnswer(message: Buffer, id: number, question: Question): DnsAnswer | null {
  if (readAnswerId(message) !== id || message.length > MAX_MESSAGE_BYTES) return null
  const records = [0, 2, 4].map((at) => message.readUInt16BE(ANSWERS_AT + at)).reduce((sum, n) => sum + n)
  if (records > MAX_RECORDS) return null
  const isTruncated = (message.readUInt16BE(FLAGS_AT) & IS_TRUNCATED) !== 0
  let packet: DecodedPacket & { rcode?: string } // the codec sets it, its types do not know
  try {
    packet = dnsPacket.decode(message)
  } catch {
    // Some servers cut in the middle of a record. Whoever forges this one only makes us ask once more.
    return isTruncated ? { kind: 'truncated' } : null
  }
  if (!isAbout(packet, question)) return null
  if (isTruncated) return { kind: 'truncated' }
  const { rcode = 'NOERROR' } = packet
  if (rcode === 'NXDOMAIN') return { kind: 'none', exists: false, ttlMs: readNegativeTtlMs(packet) }
  if (rcode !== 'NOERROR') return { kind: 'failed', rcode }
  return collect(packet, question)
}

function isAbout({ questions = [] }: DecodedPacket, { name, type }: Question): boolean {
  const [asked] = questions
  return (
    questions.length === 1 && asked !== undefined && asked.type === type && canonicalize(asked.name) === name
  )
}

/** Follow the aliases within the answer, then take the addresses of the last name. */
function collect(packet: DecodedPacket, { name, type }: Question): DnsAnswer {
  const { answers = [] } = packet
  let owner = name
  let ttlSeconds = Infinity
  for (let hops = 0; hops < MAX_CNAMES; hops++) {
    const alias = answers.find((record) => record.type === 'CNAME' && canonicalize(record.name) === owner)
    if (alias?.type !== 'CNAME') break
    ttlSeconds = Math.min(ttlSeconds, readTtl(alias))
    owner = canonicalize(alias.data)
  }
  const isAddress = type === 'A' ? isIPv4 : isIPv6
  const addresses: string[] = []
  for (const record of answers) {
    if (record.type !== type || canonicalize(record.name) !== owner) continue
    if (addresses.length === MAX_ADDRESSES || !isAddress(record.data)) continue
    addresses.push(record.data)
    ttlSeconds = Math.min(ttlSeconds, readTtl(record))
  }
  if (addresses.length === 0) return { kind: 'none', exists: true, ttlMs: readNegativeTtlMs(packet) }
  return { kind: 'addresses', addresses, ttlMs: ttlSeconds * 1000 }
}

/** RFC 2308 §5: the smaller one of the SOA record's own time and its minimum; 0 when the server does not say. */
function readNegativeTtlMs({ authorities = [] }: DecodedPacket): number {
  const soa = authorities.find((record) => record.type === 'SOA')
  if (soa?.type !== 'SOA') return 0
  return Math.min(readTtl(soa), soa.data.minimum ?? 0) * 1000
}

/** RFC 2181 §8: a set top bit counts as zero. */
function readTtl(record: ResourceRecord): number {
  const ttl = 'ttl' in record ? (record.ttl ?? 0) : 0
  return ttl > 0x7fffffff ? 0 : ttl
}

function canonicalize(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}
