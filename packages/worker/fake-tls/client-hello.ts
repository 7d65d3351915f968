import type { HandshakeCode } from '#shared/errors'

/**
 * A ClientHello as one canonical record image, whatever records it came in (wire.md §2.2):
 *
 *     0   16 03 01 | u16 length of the rest       record header, rebuilt
 *     5   01 | u24 body length                    handshake header
 *     9   03 03                                   client_version
 *     11  random[32]                              the digest (wire.md §2.4)
 *     43  u8 S | session_id[S]
 *         u16 C | cipher suites[C]
 *         u8 M | compression methods[M]
 *         u16 E | extensions[E]
 */
export interface ClientHello {
  readonly image: Buffer
  readonly random: Buffer
  readonly sessionId: Buffer
  /** First suite offered that is not GREASE. */
  readonly cipherSuite: number
  /** All that are offered, two bytes each. */
  readonly cipherSuites: Buffer
  /** The extension block without its length. */
  readonly extensions: Buffer
  /** Lower-cased, without a trailing dot. */
  readonly serverNames: readonly string[]
}

export type ClientHelloResult = { ok: true; hello: ClientHello } | { ok: false; code: HandshakeCode }

export const HELLO_RANDOM_OFFSET = 11
export const HELLO_RANDOM_BYTES = 32
export const HANDSHAKE_HEADER_BYTES = 4
/** Position of the body (client_version first) in the image. */
export const HELLO_BODY_OFFSET = 9

const EXTENSION_SERVER_NAME = 0
const EXTENSION_KEY_SHARE = 0x33
const NAME_TYPE_HOST = 0

/** GREASE values are 0x?A?A; the reference's mask is as loose (wire.md §2.2). */
const isGrease = (suite: number): boolean => (suite & 0x0f0f) === 0x0a0a

/** Put the handshake body into its canonical image. */
export function buildHelloImage(body: Buffer): Buffer {
  const image = Buffer.allocUnsafeSlow(HELLO_BODY_OFFSET + body.length)
  image.writeUIntBE(0x160301, 0, 3)
  image.writeUInt16BE((HANDSHAKE_HEADER_BYTES + body.length) & 0xffff, 3)
  image[5] = 0x01
  image.writeUIntBE(body.length, 6, 3)
  body.copy(image, HELLO_BODY_OFFSET)
  return image
}

/** Parse the image of a complete ClientHello. Bytes after the extension block are ignored, as in the reference. */
export function parseClientHello(image: Buffer): ClientHelloResult {
  const malformed = { ok: false, code: 'hello-malformed' } as const
  let at = HELLO_RANDOM_OFFSET + HELLO_RANDOM_BYTES
  if (image.length < at + 1) return malformed
  const random = image.subarray(HELLO_RANDOM_OFFSET, at)

  const sessionIdBytes = image[at]!
  at += 1
  const sessionId = image.subarray(at, at + sessionIdBytes)
  at += sessionIdBytes

  if (image.length < at + 2) return malformed
  const suitesBytes = image.readUInt16BE(at)
  at += 2
  if (suitesBytes % 2 !== 0 || image.length < at + suitesBytes) return malformed
  const cipherSuites = image.subarray(at, at + suitesBytes)
  const cipherSuite = chooseCipherSuite(cipherSuites)
  at += suitesBytes

  if (image.length < at + 1) return malformed
  at += 1 + image[at]! // compression methods are skipped

  if (image.length < at + 2) return malformed
  const extensionsBytes = image.readUInt16BE(at)
  at += 2
  if (image.length < at + extensionsBytes) return malformed
  if (cipherSuite === null) return { ok: false, code: 'no-cipher' }

  const extensions = image.subarray(at, at + extensionsBytes)
  const serverNames = parseServerNames(extensions)
  if (serverNames === null) return malformed
  return {
    ok: true,
    hello: { image, random, sessionId, cipherSuite, cipherSuites, extensions, serverNames },
  }
}

function chooseCipherSuite(suites: Buffer): number | null {
  for (let i = 0; i < suites.length; i += 2) {
    const suite = suites.readUInt16BE(i)
    if (!isGrease(suite) && suite !== 0) return suite
  }
  return null
}

/** Whether a server may choose this suite for the client. */
export function offersCipherSuite(
  { cipherSuites }: Pick<ClientHello, 'cipherSuites'>,
  suite: number,
): boolean {
  for (let i = 0; i < cipherSuites.length; i += 2) {
    if (cipherSuites.readUInt16BE(i) === suite) return true
  }
  return false
}

/**
 * Whether the client sent a key share for this group, so that a server may answer with one of its own (RFC 8446
 * §4.2.8): `u16 list length`, then `u16 group | u16 length | key` per share.
 * @param keyBytes its length, which another one is not
 */
export function offersKeyShare(
  { extensions }: Pick<ClientHello, 'extensions'>,
  group: number,
  keyBytes: number,
): boolean {
  const shares = findExtension(extensions, EXTENSION_KEY_SHARE)
  if (shares === 'none' || shares === null) return false
  for (let at = 2; at + 4 <= shares.length; at += 4 + shares.readUInt16BE(at + 2)) {
    if (shares.readUInt16BE(at) === group && shares.readUInt16BE(at + 2) === keyBytes)
      return at + 4 + keyBytes <= shares.length
  }
  return false
}

/** Names of the first server_name extension (RFC 6066 §3); none is an empty list, null is a broken extension. */
function parseServerNames(extensions: Buffer): string[] | null {
  const names = findExtension(extensions, EXTENSION_SERVER_NAME)
  if (names === 'none') return []
  return names === null ? null : parseServerNameList(names)
}

/** Data of the first extension of a type; null when the block is broken before it. */
function findExtension(extensions: Buffer, wanted: number): Buffer | 'none' | null {
  let at = 0
  while (at < extensions.length) {
    if (extensions.length < at + 4) return null
    const type = extensions.readUInt16BE(at)
    const bytes = extensions.readUInt16BE(at + 2)
    at += 4
    if (extensions.length < at + bytes) return null
    if (type === wanted) return extensions.subarray(at, at + bytes)
    at += bytes
  }
  return 'none'
}

/** `u16 list length`, then `u8 type | u16 length | name` per entry; entries of other types are skipped. */
function parseServerNameList(data: Buffer): string[] | null {
  if (data.length < 2 || data.readUInt16BE(0) !== data.length - 2) return null
  const names: string[] = []
  let at = 2
  while (at < data.length) {
    if (data.length < at + 3) return null
    const type = data[at]
    const bytes = data.readUInt16BE(at + 1)
    at += 3
    if (data.length < at + bytes) return null
    if (type === NAME_TYPE_HOST) names.push(normalizeHost(data.toString('latin1', at, at + bytes)))
    at += bytes
  }
  return names
}

/** Host names are compared without case and without one trailing dot (decision W1). */
export function normalizeHost(host: string): string {
  const name = host.endsWith('.') ? host.slice(0, -1) : host
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
