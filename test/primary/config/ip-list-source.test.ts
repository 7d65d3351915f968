import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'node:test'

import { decodeHttpsUrls, decodeSources, showSources } from '#primary/config/ip-list-source'
import { makeDirectory } from '../../support/make-directory.ts'

test('an IP list comes from a file that exists, or from a URL', (t) => {
  const folder = makeDirectory(t)
  const path = join(folder, 'list.txt')
  writeFileSync(path, '10.0.0.0/8\n')
  const url = 'HTTPS://lists.example/a?b=c'
  assert.deepEqual(decodeSources([path, relative('.', path), url, 'http://[::1]:8080/x']), {
    ok: true,
    value: [
      { kind: 'file', path },
      { kind: 'file', path },
      { kind: 'url', url },
      { kind: 'url', url: 'http://[::1]:8080/x' },
    ],
  })

  const unreadable = join(folder, 'unreadable')
  writeFileSync(unreadable, '')
  chmodSync(unreadable, 0o044)
  const regular = 'expected a regular file that its owner may read'
  const other = 'expected an http:// or https:// URL, or the path of a file that exists'
  const refused: readonly (readonly [string, string, string])[] = [
    [unreadable, regular, JSON.stringify(unreadable)],
    [folder, regular, JSON.stringify(folder)],
    [join(folder, 'none'), other, JSON.stringify(join(folder, 'none'))],
    [`file://${path}`, other, JSON.stringify(`file://${path}`)],
    ['https://', other, '"https://"'],
    ['ftp://user:password@host/', other, '"ftp://…@host/"'],
    ['x'.repeat(5000), other, '"xx…" (5000 characters)'],
    ['a\0b', other, '"a\\u0000b"'],
    ['', other, '""'],
  ]
  for (const [text, expected, found] of refused)
    assert.deepEqual(decodeSources([path, text]), { ok: false, expected, found }, text)
})

test('a source is shown without what opens it', () => {
  const url = (text: string): { kind: 'url'; url: string } => ({ kind: 'url', url: text })
  assert.deepEqual(
    showSources([
      url('https://lists.example/a'),
      url('https://user:pass@lists.example/a?key=hidden#x'),
      { kind: 'file', path: '/etc/list?' },
    ]),
    ['https://lists.example/a', 'https://…@lists.example/a?…', '/etc/list?'],
  )
})

test('pages to learn from are visited over TLS', () => {
  const urls = ['https://example.com', 'HTTPS://example.com:8443/a']
  assert.deepEqual(decodeHttpsUrls(urls), { ok: true, value: urls })
  for (const url of ['http://example.com', 'https://', 'https:///a', 'example.com', '', 1n])
    assert.ok(!decodeHttpsUrls([url]).ok, String(url))
})
