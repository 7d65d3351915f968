import { randomBytes } from 'node:crypto'

/** First byte of a fake-TLS secret (wire.md §1). */
const FAKE_TLS_TAG = 0xee
const SECRET_KEY_BYTES = 16
/** TDLib cuts longer host names. */
export const MAX_SECRET_HOST_BYTES = 182

/** A fake-TLS secret: `ee | key[16] | host`. Plain data, so that it survives structured cloning. */
export interface Secret {
  readonly key: Uint8Array
  readonly host: string
}

export type SecretParseCode =
  | 'empty'
  | 'encoding'
  | 'truncated'
  | 'tag'
  | 'key-length'
  | 'zero-key'
  | 'host-empty'
  | 'host-invalid'

export type SecretParseResult = { ok: true; secret: Secret } | { ok: false; code: SecretParseCode }

const HEX = /^(?:[0-9a-f]{2})+$/i
const BASE64URL = /^[A-Za-z0-9_-]+$/
const HOST_LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i

/**
 * Parse the text form of a secret: hex in any case, else base64url without padding. Both are checked by a pattern
 * first, because `Buffer.from` silently truncates what it cannot decode.
 */
export function parseSecret(text: string): SecretParseResult {
  if (text === '') return { ok: false, code: 'empty' }
  const joined = text.replace(/[\r\n]/g, '')
  let bytes: Buffer
  if (HEX.test(text)) bytes = Buffer.from(text, 'hex')
  else if (BASE64URL.test(joined) && joined.length % 4 !== 1) bytes = Buffer.from(joined, 'base64url')
  else return { ok: false, code: 'encoding' }

  if (bytes.length < 2) return { ok: false, code: 'truncated' }
  if (bytes[0] !== FAKE_TLS_TAG) return { ok: false, code: 'tag' }
  if (bytes.length < 1 + SECRET_KEY_BYTES) return { ok: false, code: 'key-length' }
  const key = new Uint8Array(bytes.subarray(1, 1 + SECRET_KEY_BYTES))
  const host = bytes.toString('latin1', 1 + SECRET_KEY_BYTES)
  if (host === '') return { ok: false, code: 'host-empty' }
  if (!isHostName(host)) return { ok: false, code: 'host-invalid' }
  if (key.every((byte) => byte === 0)) return { ok: false, code: 'zero-key' }
  return { ok: true, secret: { key, host } }
}

/** A DNS name that a ClientHello can carry: 1–182 bytes, labels of letters, digits, `-` and `_`. */
export function isHostName(host: string): boolean {
  const name = host.endsWith('.') ? host.slice(0, -1) : host
  if (name === '' || host.length > MAX_SECRET_HOST_BYTES) return false
  return name.split('.').every((label) => HOST_LABEL.test(label))
}

/** A new secret with a key from the system's random source. */
export function generateSecret(host: string): Secret {
  return { key: new Uint8Array(randomBytes(SECRET_KEY_BYTES)), host }
}

function secretBytes(secret: Secret): Buffer {
  return Buffer.concat([Buffer.of(FAKE_TLS_TAG), secret.key, Buffer.from(secret.host, 'latin1')])
}

/** As in a link, the longer way. */
export function formatSecretHex(secret: Secret): string {
  return secretBytes(secret).toString('hex')
}

/** As in a link, the shorter way: URL-safe, without padding. */
export function formatSecretBase64(secret: Secret): string {
  return secretBytes(secret).toString('base64url')
}

/** What logs and errors may show of a secret: its tag and its host, never its key. */
export function maskSecret(secret: Secret): string {
  return `ee…(${secret.host})`
}

/** What logs and errors may show of a text that was meant to be a secret. */
export function maskSecretText(text: string): string {
  return text.length <= 4 ? '"…"' : `"${text.slice(0, 2)}…" (${text.length} characters)`
}
