import assert from 'node:assert/strict'
import { test } from 'node:test'

import { decodeDns, formatDns } from '#primary/config/dns'
import type { DnsConfig } from '#shared/config'

const ACCEPTED: readonly (readonly [string, DnsConfig])[] = [
  ['system', { kind: 'system' }],
  ['1.1.1.1', { kind: 'udp', host: '1.1.1.1', port: 53 }],
  ['2606:4700:0::1111', { kind: 'udp', host: '2606:4700::1111', port: 53 }],
  ['udp://1.1.1.1', { kind: 'udp', host: '1.1.1.1', port: 53 }],
  ['UDP://1.1.1.1:5353', { kind: 'udp', host: '1.1.1.1', port: 5353 }],
  ['udp://[::1]:53', { kind: 'udp', host: '::1', port: 53 }],
  ['tls://dns.example', { kind: 'tls', host: 'dns.example', port: 853 }],
  ['tls://1.1.1.1:8853', { kind: 'tls', host: '1.1.1.1', port: 8853 }],
  ['https://1.1.1.1', { kind: 'https', host: '1.1.1.1', port: 443, path: '/dns-query' }],
  ['https://dns.example:8443/q?a=b', { kind: 'https', host: 'dns.example', port: 8443, path: '/q?a=b' }],
  ['https://[::1]/', { kind: 'https', host: '::1', port: 443, path: '/' }],
]

test('a resolver is the system, an address, or a URL of the three kinds', () => {
  for (const [text, value] of ACCEPTED) assert.deepEqual(decodeDns(text), { ok: true, value }, text)
})

test('a resolver is shown as it may be written, but for the query, where keys stand', () => {
  for (const [text, value] of ACCEPTED) {
    if (text.includes('?')) assert.equal(formatDns(value), 'https://dns.example:8443/q?…')
    else assert.deepEqual(decodeDns(formatDns(value)), { ok: true, value }, text)
  }
})

test('what the reference refuses as a resolver is refused', () => {
  for (const text of [
    '',
    '1.1.1.1:5353',
    'dns.example',
    'udp://dns.example',
    'udp://1.1.1.1/',
    'tls://1.1.1.1/x',
    'tls://',
    'https://',
    'https:1.1.1.1',
    'tcp://1.1.1.1',
    'https://user:password@1.1.1.1',
    'udp://user@1.1.1.1',
    'tls://a b',
    'udp://1.1.1.1:0',
    'udp://1.1.1.1:65536',
    'tls://%zz',
    53n,
  ])
    assert.ok(!decodeDns(text).ok, String(text))
})

test('a password in the URL of a resolver is not shown', () => {
  for (const text of [
    'https://user:pass/word@1.1.1.1/x',
    'ftp://user:password@1.1.1.1',
    'udp://p%zz@1.1.1.1',
  ]) {
    const decoded = decodeDns(text)
    assert.ok(!decoded.ok)
    assert.doesNotMatch(decoded.found ?? '', /user|pass|word|p%zz/)
  }
})
