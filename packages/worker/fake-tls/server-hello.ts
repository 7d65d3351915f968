import { createHmac } from 'node:crypto'
import { MAX_OUTBOUND_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordType, writeRecordHeader } from './record.ts'

/** Position of the server random, which carries the digest, in the flight. */
export const SERVER_RANDOM_OFFSET = 11
const SERVER_RANDOM_BYTES = 32

export const Group = { X25519: 0x001d, X25519MLKEM768: 0x11ec } as const

const Extension = { SupportedVersions: 0x2b, KeyShare: 0x33 } as const
/** What OpenSSL sends and the reference does; BoringSSL sends the key share first. */
export const USUAL_EXTENSIONS: readonly number[] = [Extension.SupportedVersions, Extension.KeyShare]

/** The server's half of a key exchange. */
export interface KeyShare {
  readonly group: number
  readonly key: Uint8Array
}

export interface ServerFlightInput {
  /** The 16-byte key that signed the ClientHello. */
  readonly key: Uint8Array
  readonly clientRandom: Uint8Array
  readonly sessionId: Uint8Array
  readonly cipherSuite: number
  readonly keyShare: KeyShare
  /** Types of extensions in the order to send them; of others than the two we have nothing is sent. */
  readonly extensions: readonly number[]
  /** Stands for the encrypted rest of the handshake; cut to one record (decision W5). */
  readonly noise: Uint8Array
}

/**
 * The server's answer (wire.md §3): ServerHello, ChangeCipherSpec and exactly one application-data record, signed in
 * the server random by HMAC over the client random and the flight.
 *
 *     16 03 03 n1 | 02 u24 | 03 03 | random[32] | S sid[S] | suite | 00
 *                 | u16 length | 00 2b 00 02 03 04 | 00 33 u16 length | group | u16 length | key
 *     14 03 03 00 01 01
 *     17 03 03 N | noise[N]
 */
export function buildServerFlight(input: ServerFlightInput): Buffer {
  const noise = input.noise.subarray(0, MAX_OUTBOUND_PAYLOAD_BYTES)
  const hello = buildServerHello(input)
  const flight = Buffer.alloc(
    RECORD_HEADER_BYTES + hello.length + RECORD_HEADER_BYTES + 1 + RECORD_HEADER_BYTES + noise.length,
  )
  let at = 0
  writeRecordHeader(flight, at, RecordType.Handshake, hello.length)
  at += RECORD_HEADER_BYTES
  at += hello.copy(flight, at)
  writeRecordHeader(flight, at, RecordType.ChangeCipherSpec, 1)
  at += RECORD_HEADER_BYTES
  flight[at] = 0x01
  at += 1
  writeRecordHeader(flight, at, RecordType.ApplicationData, noise.length)
  at += RECORD_HEADER_BYTES
  flight.set(noise, at)

  const digest = createHmac('sha256', input.key).update(input.clientRandom).update(flight).digest()
  digest.copy(flight, SERVER_RANDOM_OFFSET, 0, SERVER_RANDOM_BYTES)
  return flight
}

/** The handshake message with a zeroed random. */
function buildServerHello(input: ServerFlightInput): Buffer {
  const extensions = Buffer.concat(
    orderExtensions(input.extensions).map((type) => buildExtension(type, input)),
  )
  const body = Buffer.concat([
    Buffer.of(0x03, 0x03), // legacy_version
    Buffer.alloc(SERVER_RANDOM_BYTES),
    Buffer.of(input.sessionId.length),
    input.sessionId,
    u16(input.cipherSuite),
    Buffer.of(0x00), // no compression
    u16(extensions.length),
    extensions,
  ])
  const header = Buffer.alloc(4)
  header[0] = 0x02 // server_hello
  header.writeUIntBE(body.length, 1, 3)
  return Buffer.concat([header, body])
}

/** Both that TLS 1.3 demands, each once, whatever the order says of them. */
function orderExtensions(order: readonly number[]): number[] {
  return [...new Set([...order, ...USUAL_EXTENSIONS])].filter((type) => USUAL_EXTENSIONS.includes(type))
}

function buildExtension(type: number, { keyShare: { group, key } }: ServerFlightInput): Buffer {
  const data =
    type === Extension.KeyShare ? Buffer.concat([u16(group), u16(key.length), key]) : Buffer.of(0x03, 0x04) // TLS 1.3
  return Buffer.concat([u16(type), u16(data.length), data])
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff)
}
