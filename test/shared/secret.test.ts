import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  formatSecretBase64,
  formatSecretHex,
  generateSecret,
  isHostName,
  maskSecret,
  maskSecretText,
  parseSecret,
  type SecretParseCode,
} from '#shared/secret'
import * as fc from 'fast-check'

// wire.md §1: key 00..0f, host example.com
const VECTOR_HEX = 'ee000102030405060708090a0b0c0d0e0f6578616d706c652e636f6d'
const VECTOR_BASE64 = '7gABAgMEBQYHCAkKCwwNDg9leGFtcGxlLmNvbQ'
const KEY_HEX = '000102030405060708090a0b0c0d0e0f'

const hostLabel = fc.stringMatching(/^[a-z0-9](?:[a-z0-9_-]{0,20}[a-z0-9])?$/)
const hostName = fc.array(hostLabel, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const key = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .filter((bytes) => bytes.some((byte) => byte !== 0))

/** A host of so many one-letter labels. */
function labels(count: number): string {
  return Array.from({ length: count }, () => 'a').join('.')
}

function codeOf(text: string): SecretParseCode | 'ok' {
  const parsed = parseSecret(text)
  return parsed.ok ? 'ok' : parsed.code
}

test('the published vector is read from hex in any case and from base64url', () => {
  for (const text of [
    VECTOR_HEX,
    VECTOR_HEX.toUpperCase(),
    VECTOR_BASE64,
    `${VECTOR_BASE64.slice(0, 10)}\r\n${VECTOR_BASE64.slice(10)}`,
  ]) {
    const parsed = parseSecret(text)
    assert.ok(parsed.ok, text)
    assert.equal(parsed.secret.host, 'example.com')
    assert.equal(Buffer.from(parsed.secret.key).toString('hex'), KEY_HEX)
    assert.equal(formatSecretHex(parsed.secret), VECTOR_HEX)
    assert.equal(formatSecretBase64(parsed.secret), VECTOR_BASE64)
  }
})

test('every secret survives both text forms', () => {
  fc.assert(
    fc.property(key, hostName, (bytes, host) => {
      for (const format of [formatSecretHex, formatSecretBase64]) {
        const parsed = parseSecret(format({ key: bytes, host }))
        assert.ok(parsed.ok)
        assert.deepEqual(parsed.secret, { key: bytes, host })
      }
    }),
  )
})

test('what is no fake-TLS secret is refused with its reason', () => {
  const refused: readonly (readonly [string, SecretParseCode])[] = [
    ['', 'empty'],
    ['aaa', 'tag'],
    ['+**', 'encoding'],
    ['ee', 'truncated'],
    [`dd${KEY_HEX}`, 'tag'],
    [`ed${KEY_HEX}6161`, 'tag'],
    [`ef${KEY_HEX}6161`, 'tag'],
    [KEY_HEX, 'tag'],
    [`ee${KEY_HEX.slice(2)}`, 'key-length'],
    [`ee${KEY_HEX}`, 'host-empty'],
    [`ee${'00'.repeat(16)}6578616d706c65`, 'zero-key'],
    [`ee${KEY_HEX}20`, 'host-invalid'],
    [`ee${KEY_HEX}612e2e62`, 'host-invalid'],
    [`ee${KEY_HEX}${'61'.repeat(183)}`, 'host-invalid'],
    // Standard base64 instead of base64url, and its padding.
    [`${VECTOR_BASE64}==`, 'encoding'],
    [`${VECTOR_BASE64.slice(0, 8)}+${VECTOR_BASE64.slice(9)}`, 'encoding'],
    [`${VECTOR_HEX} `, 'encoding'],
    [`${VECTOR_BASE64}aaa`, 'encoding'],
  ]
  for (const [text, code] of refused) assert.equal(codeOf(text), code, text)
})

test('no text at all makes the parser throw', () => {
  fc.assert(fc.property(fc.string(), (text) => assert.equal(typeof codeOf(text), 'string')))
})

test('a generated secret is accepted, carries its host and is never the same twice', () => {
  const made = Array.from({ length: 50 }, () => formatSecretHex(generateSecret('storage.googleapis.com')))
  for (const text of made) assert.equal(codeOf(text), 'ok')
  assert.equal(new Set(made).size, made.length)
})

test('host names follow DNS and fit a ClientHello', () => {
  for (const host of [
    'a',
    'example.com',
    'xn--e1afmkfd.xn--p1ai',
    'a_b.example',
    'example.com.',
    `${'a'.repeat(63)}.b`,
    labels(91),
  ])
    assert.ok(isHostName(host), host)
  for (const host of [
    '',
    '.',
    'a..b',
    '-a.b',
    'a-.b',
    'a b',
    'a/b',
    'a:1',
    'пример.рф',
    `${'a'.repeat(64)}.b`,
    labels(92),
  ])
    assert.ok(!isHostName(host), host)
})

test('masks show no more of a key than its tag', () => {
  const parsed = parseSecret(VECTOR_HEX)
  assert.ok(parsed.ok)
  assert.equal(maskSecret(parsed.secret), 'ee…(example.com)')
  fc.assert(
    fc.property(fc.string({ minLength: 3 }), (text) => {
      assert.ok(!maskSecretText(text).includes(text))
    }),
  )
  assert.equal(maskSecretText(VECTOR_HEX), `"ee…" (${VECTOR_HEX.length} characters)`)
})
