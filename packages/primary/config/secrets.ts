import { parseSecret, type Secret, type SecretParseCode } from '#shared/secret'

import { type Decoded, type Decoder, fail } from './decoders.ts'
import { describeSecretValue } from './describe.ts'

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

const decodeSecret = (found: unknown): Decoded<Secret> => {
  if (typeof found !== 'string') return fail('expected a secret in quotes')
  const parsed = parseSecret(found)
  if (parsed.ok) return { ok: true, value: parsed.secret }
  // Hex with one wrong character decodes as base64url, and then seems to have another tag.
  return parsed.code === 'tag' && /^ee/i.test(found) ? fail(BROKEN_HEX) : fail(EXPECTED[parsed.code])
}

/** One secret, or an array of them: several links of one person, with several hosts (decision C7). */
export const decodeSecrets: Decoder<SecretList> = (found) => {
  const list: readonly unknown[] = Array.isArray(found) ? found : [found]
  if (list.length === 0) return fail('expected at least one secret')
  const secrets: Secret[] = []
  for (const element of list) {
    const decoded = decodeSecret(element)
    if (!decoded.ok) return { ...decoded, found: describeSecretValue(element) }
    secrets.push(decoded.value)
  }
  return { ok: true, value: secrets }
}
