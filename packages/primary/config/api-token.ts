import { type Decoded, type Decoder, fail } from './decoders.ts'
import { describeOutside, isOutside, readOutside } from './outside-text.ts'

/** Clients send it in a header: no spaces, nothing beyond ASCII. */
const TOKEN = /^[\x21-\x7e]+$/
/** A server refuses longer headers. */
const MAX_TOKEN_LENGTH = 1024
/** 16 characters of base64 are 96 bits; less invites guessing. */
const SAFE_TOKEN_LENGTH = 16

/** A token, or where it is to be had: `env:NAME`, `file:/path` (decision C8). Never repeats it. */
export const decodeApiToken: Decoder<string> = (found) => {
  if (typeof found !== 'string') return fail('expected a token in quotes')
  if (!isOutside(found)) return checkToken(found)
  const text = readOutside(found)
  if (!text.ok) return text
  const decoded = checkToken(text.value)
  return decoded.ok ? decoded : { ...decoded, found: `the contents of ${describeOutside(found)}` }
}

function checkToken(text: string): Decoded<string> {
  if (!TOKEN.test(text) || text.length > MAX_TOKEN_LENGTH)
    return fail(`expected a token of 1 to ${MAX_TOKEN_LENGTH} visible ASCII characters, without spaces`)
  return text.length < SAFE_TOKEN_LENGTH
    ? { ok: true, value: text, notice: `can be guessed: expected ${SAFE_TOKEN_LENGTH} characters or more` }
    : { ok: true, value: text }
}
