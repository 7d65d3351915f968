import { hash } from 'node:crypto'
import { MAX_OUTBOUND_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordType, writeRecordHeader } from './record.ts'

/** Position of the server random, which carries the digest, in the flight. */
export const SERVER_RANDOM_OFFSET = 11
const SERVER_RANDOM_BYTES = 32
const CLIENT_RANDOM_BYTES = 32
const HANDSHAKE_HEADER_BYTES = 4

const SHA256_BLOCK_BYTES = 64
const SHA256_BYTES = 32
/** Before the flight stands what is hashed with it: a block made of the key, and the client random. */
const FLIGHT_OFFSET = SHA256_BLOCK_BYTES + CLIENT_RANDOM_BYTES

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
  const { sessionId, keyShare } = input
  const noiseBytes = Math.min(input.noise.length, MAX_OUTBOUND_PAYLOAD_BYTES)
  const extensionsBytes = 4 + 2 + 4 + 4 + keyShare.key.length
  const bodyBytes = 2 + SERVER_RANDOM_BYTES + 1 + sessionId.length + 2 + 1 + 2 + extensionsBytes
  const helloBytes = HANDSHAKE_HEADER_BYTES + bodyBytes
  const image = Buffer.allocUnsafeSlow(
    FLIGHT_OFFSET +
      RECORD_HEADER_BYTES +
      helloBytes +
      RECORD_HEADER_BYTES +
      1 +
      RECORD_HEADER_BYTES +
      noiseBytes,
  )
  const flight = image.subarray(FLIGHT_OFFSET)
  let at = writeRecordHeader(flight, 0, RecordType.Handshake, helloBytes)
  flight[at] = 0x02 // server_hello
  at = flight.writeUIntBE(bodyBytes, at + 1, 3)
  at = flight.writeUInt16BE(0x0303, at) // legacy_version
  flight.fill(0, at, at + SERVER_RANDOM_BYTES)
  at = flight.writeUInt8(sessionId.length, at + SERVER_RANDOM_BYTES)
  flight.set(sessionId, at)
  at = flight.writeUInt16BE(input.cipherSuite, at + sessionId.length)
  at = flight.writeUInt8(0, at) // no compression
  at = flight.writeUInt16BE(extensionsBytes, at)
  if (isKeyShareFirst(input.extensions))
    at = writeSupportedVersions(flight, writeKeyShare(flight, at, keyShare))
  else at = writeKeyShare(flight, writeSupportedVersions(flight, at), keyShare)

  at = writeRecordHeader(flight, at, RecordType.ChangeCipherSpec, 1)
  at = flight.writeUInt8(1, at)
  at = writeRecordHeader(flight, at, RecordType.ApplicationData, noiseBytes)
  flight.set(input.noise.subarray(0, noiseBytes), at)
  sign(image, input.key, input.clientRandom)
  return flight
}

/**
 * HMAC-SHA256 (RFC 2104) over the client random and the flight, by two one-shot hashes: half the cost of `createHmac`.
 * What it needed before the flight is wiped, since it is the key.
 */
function sign(image: Buffer, key: Uint8Array, clientRandom: Uint8Array): void {
  const outer = Buffer.alloc(SHA256_BLOCK_BYTES + SHA256_BYTES, 0x5c)
  image.fill(0x36, 0, SHA256_BLOCK_BYTES)
  for (let i = 0; i < key.length; i++) {
    image[i] = key[i]! ^ 0x36 // inside by the loop's bound; a key is shorter than a block
    outer[i] = key[i]! ^ 0x5c
  }
  image.set(clientRandom, SHA256_BLOCK_BYTES)
  hash('sha256', image, 'buffer').copy(outer, SHA256_BLOCK_BYTES)
  image.fill(0, 0, FLIGHT_OFFSET)
  hash('sha256', outer, 'buffer').copy(image, FLIGHT_OFFSET + SERVER_RANDOM_OFFSET)
}

/** Both that TLS 1.3 demands are sent, whatever the order says of them. */
function isKeyShareFirst(order: readonly number[]): boolean {
  const keyShare = order.indexOf(Extension.KeyShare)
  const versions = order.indexOf(Extension.SupportedVersions)
  return keyShare >= 0 && (versions < 0 || keyShare < versions)
}

function writeSupportedVersions(to: Buffer, at: number): number {
  const next = writeExtensionHeader(to, at, Extension.SupportedVersions, 2)
  return to.writeUInt16BE(0x0304, next) // TLS 1.3
}

function writeKeyShare(to: Buffer, at: number, { group, key }: KeyShare): number {
  let next = writeExtensionHeader(to, at, Extension.KeyShare, 4 + key.length)
  next = to.writeUInt16BE(group, next)
  next = to.writeUInt16BE(key.length, next)
  to.set(key, next)
  return next + key.length
}

function writeExtensionHeader(to: Buffer, at: number, type: number, bytes: number): number {
  return to.writeUInt16BE(bytes, to.writeUInt16BE(type, at))
}
