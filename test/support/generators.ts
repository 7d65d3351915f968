import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'

/** What property tests of several codecs draw from. Encoders here are written from the RFCs, not from our codecs. */

export const bytes = (minLength: number, maxLength = minLength): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((drawn) => Buffer.from(drawn))

/** A 16-byte key of a secret; never all zero, as secrets are not. */
export const secretKey = (): fc.Arbitrary<Buffer> => bytes(16).filter((key) => key.some((byte) => byte !== 0))

/** Ways to cut `length` bytes: positions in ascending order, repeated ones make empty pieces. */
export const cuts = (length: number, maxCuts = 12): fc.Arbitrary<number[]> =>
  fc.array(fc.nat({ max: length }), { maxLength: maxCuts }).map((drawn) => drawn.toSorted((a, b) => a - b))

/** The pieces between the positions; together they are `whole`. */
export function cutAt(whole: Buffer, positions: readonly number[]): Buffer[] {
  const edges = [0, ...positions, whole.length]
  return edges.slice(1).map((end, index) => whole.subarray(edges[index], end))
}

/** `type | 03 03 | length | payload` */
export function encodeRecord(type: number, payload: Uint8Array, version = 0x0303): Buffer {
  return Buffer.concat([Buffer.of(type), u16(version), u16(payload.length), payload])
}

export const hostName = (): fc.Arbitrary<string> =>
  fc
    .array(fc.stringMatching(/^[a-z0-9]{1,12}$/), { minLength: 2, maxLength: 4 })
    .map((labels) => labels.join('.'))

export interface HelloFields {
  readonly random: Buffer
  readonly sessionId: Buffer
  readonly suites: readonly number[]
  readonly compression: Buffer
  /** null leaves the extension out. */
  readonly names: readonly string[] | null
  /** Extensions before the names, as type and data; no server_name among them. */
  readonly extensions: readonly (readonly [number, Buffer])[]
}

/** A suite that names a cipher: not GREASE (0x?A?A as the clients' servers mask it), not 0. */
export const realSuite = (): fc.Arbitrary<number> =>
  fc.integer({ min: 1, max: 0xffff }).filter((suite) => (suite & 0x0f0f) !== 0x0a0a)

export const greaseSuite = (): fc.Arbitrary<number> =>
  fc.tuple(fc.nat(15), fc.nat(15)).map(([high, low]) => 0x0a0a | (high << 12) | (low << 4))

/** Hellos that a client could send: some GREASE, then at least one real suite. */
export const helloFields = (): fc.Arbitrary<HelloFields> =>
  fc.record({
    random: bytes(32),
    sessionId: bytes(0, 32),
    suites: fc
      .tuple(
        fc.array(greaseSuite(), { maxLength: 3 }),
        fc.array(realSuite(), { minLength: 1, maxLength: 20 }),
      )
      .map(([grease, real]) => [...grease, ...real]),
    compression: bytes(0, 3),
    names: fc.option(fc.array(hostName(), { maxLength: 3 })),
    extensions: fc.array(fc.tuple(fc.integer({ min: 1, max: 0xffff }), bytes(0, 40)), { maxLength: 6 }),
  })

/** The handshake body, client_version first (RFC 8446 §4.1.2). */
export function encodeHelloBody(fields: HelloFields): Buffer {
  const extensions = fields.extensions.map(([type, data]) => encodeExtension(type, data))
  if (fields.names !== null) extensions.push(encodeExtension(0, encodeServerNames(fields.names)))
  return Buffer.concat([
    Buffer.of(0x03, 0x03),
    fields.random,
    Buffer.of(fields.sessionId.length),
    fields.sessionId,
    vector16(fields.suites.map(u16)),
    Buffer.of(fields.compression.length),
    fields.compression,
    vector16(extensions),
  ])
}

/** `01 | u24 length | body` */
export function encodeHelloMessage(body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x01, body.length >> 16), u16(body.length & 0xffff), body])
}

/** The message in one handshake record per piece, with the version that hellos have. */
export function encodeHelloRecords(message: Buffer, positions: readonly number[] = []): Buffer {
  return Buffer.concat(cutAt(message, positions).map((piece) => encodeRecord(0x16, piece, 0x0301)))
}

/** Sign a body in place as clients do (wire.md §2.4): HMAC over the one-record image with a zeroed random. */
export function signHelloBody(body: Buffer, key: Uint8Array, unixSeconds: number): void {
  body.fill(0, 2, 34)
  const digest = createHmac('sha256', key)
    .update(encodeHelloRecords(encodeHelloMessage(body)))
    .digest()
  digest.copy(body, 2)
  body.writeUInt32LE((digest.readUInt32LE(28) ^ unixSeconds) >>> 0, 2 + 28)
}

/** RFC 6066 §3: `u16 list length`, then `00 | u16 length | name` per entry. */
export function encodeServerNames(names: readonly string[]): Buffer {
  return vector16(
    names.map((name) => Buffer.concat([Buffer.of(0x00), vector16([Buffer.from(name, 'latin1')])])),
  )
}

export const encodeExtension = (type: number, data: Buffer): Buffer =>
  Buffer.concat([u16(type), vector16([data])])

function vector16(items: readonly Buffer[]): Buffer {
  const content = Buffer.concat(items)
  return Buffer.concat([u16(content.length), content])
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff)
}
