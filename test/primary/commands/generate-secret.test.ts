import assert from 'node:assert/strict'
import { test } from 'node:test'

import { generateSecretText } from '#primary/commands/generate-secret'
import { OperatorError } from '#shared/errors'
import { parseSecret } from '#shared/secret'

test('a secret carries the host as it was typed, in the form that was asked for', () => {
  for (const hex of [true, false]) {
    const text = generateSecretText('Storage.googleapis.com', { hex })
    assert.equal(/^ee[0-9a-f]+$/.test(text), hex)
    const parsed = parseSecret(text)
    assert.ok(parsed.ok)
    assert.equal(parsed.secret.host, 'Storage.googleapis.com')
  }
})

test('hosts that are no DNS name are refused, with the way out', () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['', /expected a DNS name/],
    ['a..b', /expected a DNS name/],
    ['example.com:443', /expected a DNS name/],
    [`${'a.'.repeat(91)}ab`, /at most 182 bytes/],
    ['203.0.113.1', /not an address/],
    ['2001:db8::1', /not an address/],
    ['пример.рф', /write it as "xn--e1afmkfd\.xn--p1ai"/],
  ]
  for (const [host, message] of refused)
    assert.throws(
      () => generateSecretText(host, { hex: false }),
      (error) => error instanceof OperatorError && message.test(error.message),
      host,
    )
})
