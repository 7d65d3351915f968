import { createHmac, randomBytes, randomInt } from 'node:crypto'

/**
 * ClientHellos as Telegram's clients send them, signed for a secret. Written from wire.md §2 and from what the
 * clients put on the wire, so that it can disagree with the proxy's parser.
 */

/** TDLib pads to this, record header included, as browsers did for old middleboxes. */
export const USUAL_HELLO_BYTES = 517
/** A hello of this size or more carries a hybrid key share as well, as newer clients do. */
export const HYBRID_HELLO_BYTES = 1800
export const RANDOM_OFFSET = 11
export const RANDOM_BYTES = 32
export const GROUP_X25519 = 0x001d
export const GROUP_X25519_MLKEM768 = 0x11ec

const RECORD_HEADER_BYTES = 5
const X25519_SHARE_BYTES = 32
/** Two coefficients below 3329 take three bytes of an encapsulation key, and 32 more bytes follow (FIPS 203 §5). */
const MLKEM768_COEFFICIENT_PAIRS = 384
const MLKEM768_MODULUS = 3329
const SESSION_ID_BYTES = 32
const CIPHER_SUITES = [
  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
  0x002f, 0x0035,
]

/**
 * How a hello is spoilt. `digest`, `record-type`, `record-version` and `handshake-type` change a signed hello;
 * `no-cipher`, `extensions` and `sni-truncated` are signed as they are, so that only the parser can refuse them.
 */
export type HelloDefect =
  | 'digest'
  | 'record-type'
  | 'record-version'
  | 'handshake-type'
  | 'no-cipher'
  | 'extensions'
  | 'sni-truncated'

export interface ClientHelloOptions {
  /** The 16 bytes of the secret. */
  readonly key: Uint8Array
  /** The host of the secret; the SNI unless `sni` says otherwise. */
  readonly host: string
  /** Several names make one server_name list (RFC 6066); null leaves the extension out. */
  readonly sni?: string | readonly string[] | null
  /** Seconds; now unless given. */
  readonly unixTime?: number
  /** 32 bytes that stand where the signature belongs: a hello that nobody signed. */
  readonly random?: Uint8Array
  /** Padded to this many bytes with the record header; a hello that is longer by itself stays so. */
  readonly size?: number
  readonly sessionId?: Uint8Array
  readonly corrupt?: HelloDefect
}

export interface ClientHello {
  /** The whole TLS record. */
  readonly bytes: Buffer
  /** As it stands on the wire; the server signs its flight over it. */
  readonly random: Buffer
  readonly sessionId: Buffer
}

/** A ClientHello in one TLS record, accepted by the rules of wire.md §2.4 unless spoilt on purpose. */
export function buildClientHello(options: ClientHelloOptions): ClientHello {
  const sessionId = Buffer.from(options.sessionId ?? randomBytes(SESSION_ID_BYTES))
  const size = options.size ?? USUAL_HELLO_BYTES
  const bytes = buildUnsignedHello(options, sessionId, size)
  if (options.random === undefined) {
    signClientHello(bytes, options.key, options.unixTime ?? Math.floor(Date.now() / 1000))
  } else {
    bytes.set(options.random, RANDOM_OFFSET)
  }
  spoilSignedHello(bytes, options.corrupt)
  const random = Buffer.from(bytes.subarray(RANDOM_OFFSET, RANDOM_OFFSET + RANDOM_BYTES))
  return { bytes, random, sessionId }
}

/**
 * Put the random in place: HMAC over the hello with a zeroed random, the last four bytes mixed with the time in
 * seconds, little-endian (wire.md §2.4).
 */
export function signClientHello(record: Buffer, key: Uint8Array, unixTime: number): void {
  record.fill(0, RANDOM_OFFSET, RANDOM_OFFSET + RANDOM_BYTES)
  const digest = createHmac('sha256', key).update(record).digest()
  const timeOffset = RANDOM_BYTES - 4
  digest.writeUInt32LE((digest.readUInt32LE(timeOffset) ^ unixTime) >>> 0, timeOffset)
  digest.copy(record, RANDOM_OFFSET)
}

/** Cut the handshake message into several TLS records, at these offsets of the message (wire.md §2.1). */
export function splitIntoRecords(record: Buffer, cuts: readonly number[]): Buffer {
  const message = record.subarray(RECORD_HEADER_BYTES)
  const edges = [0, ...cuts, message.length]
  const parts = edges.slice(1).map((end, index) => message.subarray(edges[index], end))
  return Buffer.concat(parts.flatMap((part) => [Buffer.of(0x16, 0x03, 0x01), u16(part.length), part]))
}

function buildUnsignedHello(options: ClientHelloOptions, sessionId: Buffer, size: number): Buffer {
  const [suite = 0, ...grease] = greaseValues()
  const suites = options.corrupt === 'no-cipher' ? [0x0a0a, 0x5a5a] : [suite, ...CIPHER_SUITES]
  const head = Buffer.concat([
    Buffer.of(0x03, 0x03),
    Buffer.alloc(RANDOM_BYTES),
    Buffer.of(sessionId.length),
    sessionId,
    vector16(...suites.map(u16)),
    Buffer.of(0x01, 0x00), // one compression method: none
  ])
  const extensions = Buffer.concat(buildExtensions(options, grease, size >= HYBRID_HELLO_BYTES))
  // record header, handshake header, length of the extensions, header of the padding extension
  const paddingBytes = size - (RECORD_HEADER_BYTES + 4 + head.length + 2 + extensions.length + 4)
  const padded =
    paddingBytes >= 0
      ? Buffer.concat([extensions, extension(0x0015, Buffer.alloc(paddingBytes))])
      : extensions
  const claimed = options.corrupt === 'extensions' ? padded.length + 40 : padded.length
  const body = Buffer.concat([head, u16(claimed), padded])
  return Buffer.concat([
    Buffer.of(0x16, 0x03, 0x01),
    u16(body.length + 4),
    Buffer.of(0x01, 0x00),
    u16(body.length),
    body,
  ])
}

function buildExtensions(options: ClientHelloOptions, grease: readonly number[], hybrid: boolean): Buffer[] {
  const [first = 0, group = 0, version = 0, last = 0] = grease
  const groups = hybrid ? [GROUP_X25519_MLKEM768] : []
  const shares = [keyShare(group, Buffer.of(0))]
  if (hybrid) shares.push(keyShare(GROUP_X25519_MLKEM768, buildHybridShare()))
  shares.push(keyShare(GROUP_X25519, randomBytes(X25519_SHARE_BYTES)))
  return [
    extension(first),
    ...serverName(options),
    extension(0x0017), // extended_master_secret
    extension(0xff01, Buffer.of(0x00)), // renegotiation_info
    extension(0x000a, vector16(...[group, ...groups, GROUP_X25519, 0x0017, 0x0018].map(u16))),
    extension(0x000b, Buffer.of(0x01, 0x00)), // ec_point_formats
    extension(0x0023), // session_ticket
    extension(0x0010, vector16(Buffer.from('\x02h2\x08http/1.1', 'latin1'))),
    extension(0x0005, Buffer.of(0x01, 0x00, 0x00, 0x00, 0x00)), // status_request
    extension(0x000d, vector16(...[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601].map(u16))),
    extension(0x0012), // signed_certificate_timestamp
    extension(0x0033, vector16(...shares)),
    extension(0x002d, Buffer.of(0x01, 0x01)), // psk_key_exchange_modes
    extension(0x002b, Buffer.concat([Buffer.of(0x06), u16(version), Buffer.of(0x03, 0x04, 0x03, 0x03)])),
    extension(0x001b, Buffer.of(0x02, 0x00, 0x02)), // compress_certificate: brotli
    extension(last, Buffer.of(0x00)),
  ]
}

function serverName(options: ClientHelloOptions): Buffer[] {
  const sni = options.sni === undefined ? options.host : options.sni
  if (sni === null) return []
  const names = typeof sni === 'string' ? [sni] : sni
  const entries = names.map((name) => Buffer.concat([Buffer.of(0x00), vector16(Buffer.from(name, 'latin1'))]))
  const data = vector16(...entries)
  if (options.corrupt === 'sni-truncated') data.writeUInt16BE(data.readUInt16BE(3) + 8, 3)
  return [extension(0x0000, data)]
}

function spoilSignedHello(bytes: Buffer, defect: HelloDefect | undefined): void {
  if (defect === 'record-type') bytes[0] = 0x15
  if (defect === 'record-version') bytes[2] = 0x03
  if (defect === 'handshake-type') bytes[5] = 0x02
  if (defect === 'digest') bytes[RANDOM_OFFSET] = (bytes[RANDOM_OFFSET] ?? 0) ^ 0x01
}

/** Five values of RFC 8701; the two that name extensions differ, as an extension may stand only once. */
function greaseValues(): number[] {
  const values = [...randomBytes(5)].map((byte) => ((byte & 0xf0) | 0x0a) * 0x0101)
  if (values[1] === values[4]) values[4] = (values[4] ?? 0) ^ 0x1010
  return values
}

/** As clients make it: a key that nobody has the other half of, but that a real server takes. */
function buildHybridShare(): Buffer {
  const pairs = Buffer.alloc(MLKEM768_COEFFICIENT_PAIRS * 3)
  for (let at = 0; at < pairs.length; at += 3) {
    const [first, second] = [randomInt(MLKEM768_MODULUS), randomInt(MLKEM768_MODULUS)]
    pairs.writeUIntLE(first | (second << 12), at, 3)
  }
  return Buffer.concat([pairs, randomBytes(32 + X25519_SHARE_BYTES)])
}

const keyShare = (group: number, key: Buffer): Buffer => Buffer.concat([u16(group), vector16(key)])

const extension = (type: number, data: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([u16(type), vector16(data)])

function vector16(...items: readonly Buffer[]): Buffer {
  const content = Buffer.concat(items)
  return Buffer.concat([u16(content.length), content])
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff)
}
