import { createHmac } from 'node:crypto'
import { MAX_OUTBOUND_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordType, writeRecordHeader } from './record.ts'

/** Position of the server random, which carries the digest, in the flight. */
export const SERVER_RANDOM_OFFSET = 11
const SERVER_RANDOM_BYTES = 32

export interface ServerFlightInput {
  /** The 16-byte key that signed the ClientHello. */
  readonly key: Uint8Array
  readonly clientRandom: Uint8Array
  readonly sessionId: Uint8Array
  readonly cipherSuite: number
  /** An X25519 public value, 32 bytes. */
  readonly publicKey: Uint8Array
  /** Stands for the encrypted rest of the handshake; cut to one record (decision W5). */
  readonly noise: Uint8Array
}

/**
 * The server's answer (wire.md §3): ServerHello, ChangeCipherSpec and exactly one application-data record, signed in
 * the server random by HMAC over the client random and the flight.
 *
 *     16 03 03 n1 | 02 u24 | 03 03 | random[32] | S sid[S] | suite | 00
 *                 | 00 2e | 00 2b 00 02 03 04 | 00 33 00 24 00 1d 00 20 pub[32]
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
  const suite = Buffer.alloc(2)
  suite.writeUInt16BE(input.cipherSuite)
  const body = Buffer.concat([
    Buffer.of(0x03, 0x03), // legacy_version
    Buffer.alloc(SERVER_RANDOM_BYTES),
    Buffer.of(input.sessionId.length),
    input.sessionId,
    suite,
    Buffer.of(0x00), // no compression
    Buffer.of(0x00, 0x2e), // extensions: 46 bytes follow
    Buffer.of(0x00, 0x2b, 0x00, 0x02, 0x03, 0x04), // supported_versions: TLS 1.3
    Buffer.of(0x00, 0x33, 0x00, 0x24, 0x00, 0x1d, 0x00, 0x20), // key_share: x25519, 32 bytes follow
    input.publicKey,
  ])
  const header = Buffer.alloc(4)
  header[0] = 0x02 // server_hello
  header.writeUIntBE(body.length, 1, 3)
  return Buffer.concat([header, body])
}
