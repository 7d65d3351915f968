/** What a server's ServerHello says in the clear (RFC 8446 §4.1.3). */
export interface ServerHelloFacts {
  readonly cipherSuite: number
  readonly group: number
  /** In order. */
  readonly extensions: readonly number[]
}

const SERVER_HELLO = 2
const KEY_SHARE = 0x33

/**
 * Read the last ServerHello of handshake messages that follow each other; the one before it, if any, was a
 * HelloRetryRequest.
 * @returns null when there is none of TLS 1.3 in them
 */
export function parseServerHello(handshake: Buffer): ServerHelloFacts | null {
  let facts: ServerHelloFacts | null = null
  for (let at = 0; at + 4 <= handshake.length;) {
    const end = at + 4 + handshake.readUIntBE(at + 1, 3)
    if (end > handshake.length) break
    if (handshake[at] === SERVER_HELLO) facts = parseBody(handshake.subarray(at + 4, end))
    at = end
  }
  return facts
}

/** `version[2] random[32] | u8 S sid[S] | suite[2] | compression[1] | u16 E extensions[E]` */
function parseBody(body: Buffer): ServerHelloFacts | null {
  if (body.length < 35) return null
  let at = 35 + body[34]!
  if (body.length < at + 5) return null
  const cipherSuite = body.readUInt16BE(at)
  at += 5 // and the length of what follows to the end
  const extensions: number[] = []
  let group: number | null = null
  while (at + 4 <= body.length) {
    const type = body.readUInt16BE(at)
    const bytes = body.readUInt16BE(at + 2)
    at += 4
    if (at + bytes > body.length) return null
    extensions.push(type)
    if (type === KEY_SHARE && bytes >= 2) group = body.readUInt16BE(at)
    at += bytes
  }
  return group === null ? null : { cipherSuite, group, extensions }
}
