import { parseSecret, type Secret, type SecretParseCode } from '#shared/secret'

import { type Decoded, decodeOneOrMore, type Decoder, fail } from './decoders.ts'
import { describeSecretValue } from './describe.ts'
import { describeOutside, isOutside, readOutside } from './outside-text.ts'

export type SecretList = readonly Secret[]

/** What is wrong with a text that should be a secret, in the operator's words. Never repeats the text. */
const EXPECTED: Readonly<Record<SecretParseCode, string>> = {
  empty: 'expected a secret; make one with: mtg-multi generate-secret <hostname>',
  encoding: 'expected a secret in hex or base64url; make one with: mtg-multi generate-secret <hostname>',
  truncated: 'expected a whole secret: this one is cut off',
  tag: 'expected a fake-TLS secret, beginning with "ee" in hex or "7" in base64url; others are not supported',
  'key-length': 'expected 16 bytes of key after the "ee": this secret is cut off',
  'zero-key': 'expected a random key: this one is all zeros',
  'host-empty':
    'expected a host name after the key; make a secret with: mtg-multi generate-secret <hostname>',
  'host-invalid': 'expected a valid DNS name of at most 182 bytes after the key',
}

const BROKEN_HEX = 'expected pairs of hex digits to the end: this secret begins like hex, but is not'

const decodeSecret: Decoder<Secret> = (found) => {
  if (typeof found !== 'string')
    return { ...fail('expected a secret in quotes'), found: describeSecretValue(found) }
  if (!isOutside(found)) return decodeText(found, describeSecretValue(found))
  const text = readOutside(found)
  return text.ok ? decodeText(text.value, `the contents of ${describeOutside(found)}`) : text
}

function decodeText(text: string, shown: string): Decoded<Secret> {
  const parsed = parseSecret(text)
  if (parsed.ok) return { ok: true, value: parsed.secret }
  // Hex with one wrong character decodes as base64url, and then seems to have another tag.
  const isBrokenHex = parsed.code === 'tag' && /^ee/i.test(text)
  return { ...fail(isBrokenHex ? BROKEN_HEX : EXPECTED[parsed.code]), found: shown }
}

/**
 * One secret, or an array of them: several links of one person, with several hosts (decision C7). Each may be the
 * secret itself, `env:NAME` or `file:/path` (decision C8).
 */
export const decodeSecrets: Decoder<SecretList> = decodeOneOrMore(decodeSecret, 'secret')
