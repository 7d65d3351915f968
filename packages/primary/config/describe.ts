import { maskSecretText } from '#shared/secret'

/** Longer values are cut: a message is one line that fits a terminal. */
const MAX_SHOWN_LENGTH = 60
/**
 * Texts that could hold a key, wherever they stand: 16 bytes of key are 22 characters of base64 or 32 of hex. Host
 * names and addresses are cut up by dots and colons and stay readable.
 */
const LOOKS_SECRET = /[A-Za-z0-9_+/=-]{22}/
/** A fake-TLS secret in hex or base64url; no key of ours and hardly a name begins so. */
export const SWAPPED_SECRET: RegExp = /^(?:ee[0-9a-f]{32,}|7[g-v][A-Za-z0-9_-]{21,})$/i

/** `socks5://user:password@host` as `socks5://…@host`, and without a scheme alike. */
export function maskUserInfo(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^]*@/i, '$1…@')
}

/** What an error may show of a value of the file; what could be a secret is masked wherever it stands. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string')
    return LOOKS_SECRET.test(value) ? maskSecretText(value) : quote(maskUserInfo(value))
  if (typeof value === 'number') return Number.isInteger(value) ? `${value}.0` : String(value)
  if (typeof value === 'bigint' || typeof value === 'boolean') return cut(String(value))
  if (value instanceof Date) return 'a date'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`
  return 'a table'
}

/** As {@link describeValue}, for keys that hold a secret: no text is shown, however short or odd. */
export function describeSecretValue(value: unknown): string {
  return typeof value === 'string' && value !== '' ? maskSecretText(value) : describeValue(value)
}

/** A TOML path for people: `stats.prometheus.bind-to`, `secrets."anna b"`. */
export function formatPath(path: readonly string[]): string {
  return path.map(formatKey).join('.')
}

/** A secret can stand where a key belongs, when somebody swaps the two. */
function formatKey(key: string): string {
  if (SWAPPED_SECRET.test(key)) return maskSecretText(key)
  return /^[A-Za-z0-9_-]+$/.test(key) ? cut(key) : quote(key)
}

function quote(text: string): string {
  return JSON.stringify(cut(text))
}

function cut(text: string): string {
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text
}
