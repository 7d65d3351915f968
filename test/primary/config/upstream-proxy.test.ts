import assert from 'node:assert/strict'
import { test } from 'node:test'

import { decodeProxies, showProxies } from '#primary/config/upstream-proxy'
import type { Socks5Proxy } from '#shared/config'

const PLAIN: Socks5Proxy = {
  kind: 'socks5',
  host: '10.0.0.1',
  port: 1080,
  username: null,
  password: null,
  openThreshold: 5,
  halfOpenTimeoutMs: 60_000,
  resetFailuresTimeoutMs: 10_000,
}

test('a way to Telegram is direct, or a SOCKS5 server by its URL', () => {
  const accepted: readonly (readonly [unknown, readonly unknown[]])[] = [
    [[], []],
    [[''], [{ kind: 'direct' }]],
    ['socks5://10.0.0.1', [PLAIN]],
    [['socks5h://10.0.0.1:1080/'], [PLAIN]],
    [['SOCKS5://[::1]'], [{ ...PLAIN, host: '::1' }]],
    [['socks5://proxy.example:9'], [{ ...PLAIN, host: 'proxy.example', port: 9 }]],
    [['socks5://u:p%40ss%3A@10.0.0.1'], [{ ...PLAIN, username: 'u', password: 'p@ss:' }]],
    [['socks5://u@10.0.0.1'], [{ ...PLAIN, username: 'u', password: '' }]],
    [
      ['socks5://10.0.0.1?open_threshold=2&half_open_timeout=1m30s&reset_failures_timeout=500ms'],
      [{ ...PLAIN, openThreshold: 2, halfOpenTimeoutMs: 90_000, resetFailuresTimeoutMs: 500 }],
    ],
    [
      ['socks5://10.0.0.1', '', 'socks5://10.0.0.1'],
      [PLAIN, { kind: 'direct' }, PLAIN],
    ],
  ]
  for (const [found, value] of accepted) assert.deepEqual(decodeProxies(found), { ok: true, value })
})

test('a breaker that cannot be is left at its default, with a notice', () => {
  const decoded = decodeProxies([
    'socks5://10.0.0.1?open_threshold=0&half_open_timeout=5&reset_failures_timeout=0s&x=1',
  ])
  assert.deepEqual(decoded, {
    ok: true,
    value: [PLAIN],
    notice:
      'open_threshold is not valid, its default holds; half_open_timeout is not valid, its default holds; ' +
      'reset_failures_timeout is not valid, its default holds; ' +
      'only open_threshold, half_open_timeout, reset_failures_timeout are known after the question mark',
  })
})

test('other URLs are refused, and no password is shown', () => {
  const refused: readonly (readonly [unknown, string | undefined])[] = [
    ['http://user:password@10.0.0.1', '"http://…@10.0.0.1"'],
    ['socks4://user:password@10.0.0.1', '"socks4://…@10.0.0.1"'],
    ['socks5://user:password@', '"socks5://…@"'],
    ['socks5://user:pass?word@10.0.0.1:99999', '"socks5://…@10.0.0.1:99999"'],
    ['socks5://', '"socks5://"'],
    ['10.0.0.1:1080', '"10.0.0.1:1080"'],
    ['socks5://a..b', '"socks5://a..b"'],
    ['socks5://10.0.0.1:0', '"socks5://10.0.0.1:0"'],
    [`socks5://${'u'.repeat(256)}:p@10.0.0.1`, '"socks5://…@10.0.0.1"'],
    [5n, '5'],
  ]
  for (const [found, shown] of refused) {
    const decoded = decodeProxies([found])
    assert.ok(!decoded.ok, String(found))
    assert.equal(decoded.found, shown)
    assert.match(decoded.expected, /^expected /)
  }
})

test('a proxy is shown without its credentials', () => {
  const shown = showProxies([{ kind: 'direct' }, { ...PLAIN, username: 'user', password: 'password' }, PLAIN])
  const breaker = 'open_threshold=5&half_open_timeout=1m&reset_failures_timeout=10s'
  assert.deepEqual(shown, ['', `socks5://…@10.0.0.1:1080?${breaker}`, `socks5://10.0.0.1:1080?${breaker}`])
})
