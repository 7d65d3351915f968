import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { listCacheDirectories, ListCache } from '#primary/ip-lists/list-cache'
import { createFolder, createTools, LIMIT } from './bench.ts'

const URL = 'https://user:password@lists.test/a?key=hidden'
const NONE = { etag: null, lastModified: null }

test('what was written is read back, byte by byte', LIMIT, async (t) => {
  const { folder, log } = createTools(t)
  const field = fc.option(fc.stringMatching(/^[\x20-\x7e\x80-\xff]{1,40}$/))
  await fc.assert(
    fc.asyncProperty(fc.uint8Array(), field, field, async (bytes, etag, lastModified) => {
      const list = { text: Buffer.from(bytes), validators: { etag, lastModified } }
      await new ListCache([folder], log).write(URL, list)
      assert.deepEqual(await new ListCache([folder], log).read(URL), list)
    }),
    { numRuns: 50 },
  )
  assert.equal(await new ListCache([folder], log).read('https://lists.test/other'), null)
})

test('only its owner may read a copy, and nothing in it or its name tells the URL', LIMIT, async (t) => {
  const { folder, log } = createTools(t)
  const directory = join(folder, 'deep', 'cache')
  await new ListCache([directory], log).write(URL, { text: Buffer.from('192.0.2.1'), validators: NONE })
  const names = readdirSync(directory)
  assert.equal(names.length, 1, 'no draft is left')
  const path = join(directory, names[0] ?? '')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  assert.doesNotMatch(path + readFileSync(path, 'utf8'), /lists\.test|password|hidden/)
})

test('a field that could not be sent to a server is forgotten', LIMIT, async (t) => {
  const { folder, log } = createTools(t)
  const cache = new ListCache([folder], log)
  await cache.write(URL, { text: Buffer.from('x'), validators: { etag: 'a\r\nX-Evil: 1', lastModified: '' } })
  assert.deepEqual((await cache.read(URL))?.validators, NONE)
})

test(
  'the first directory that can be written to is taken; without one a line says so, once',
  LIMIT,
  async (t) => {
    const { folder, log, logLines } = createTools(t)
    const file = join(folder, 'file')
    writeFileSync(file, '')
    const list = { text: Buffer.from('192.0.2.1'), validators: NONE }
    // Below a file there is no directory, for root neither.
    await new ListCache([join(file, 'x'), join(folder, 'good')], log).write(URL, list)
    assert.equal(readdirSync(join(folder, 'good')).length, 1)

    const nowhere = new ListCache([join(file, 'x'), join(file, 'y')], log)
    await nowhere.write(URL, list)
    await nowhere.touch(URL)
    assert.equal(await nowhere.read(URL), null)
    assert.equal(logLines().length, 1)
    assert.match(String(logLines()[0]?.['message']), /memory only/)
  },
)

test('a copy that cannot be written is said once, until one can be', LIMIT, async (t) => {
  const { folder, log, logLines } = createTools(t)
  const directory = join(folder, 'cache')
  const cache = new ListCache([directory], log)
  const list = { text: Buffer.from('192.0.2.1'), validators: NONE }
  await cache.write(URL, list)
  const [name = ''] = readdirSync(directory)
  // A directory in the place of a copy cannot be replaced by a file.
  const blocked = 'https://lists.test/blocked'
  await cache.write(blocked, list)
  const blockedName = readdirSync(directory).find((each) => each !== name) ?? ''
  rmSync(join(directory, blockedName))
  mkdirSync(join(directory, blockedName, 'inside'), { recursive: true })
  await cache.write(blocked, list)
  await cache.write(blocked, list)
  assert.equal(logLines().length, 1)
  assert.equal(readdirSync(directory).length, 2, 'no draft is left')
})

test(
  'copies that nobody has asked for in two months go, others and what is not ours stay',
  LIMIT,
  async (t) => {
    const { folder, log } = createTools(t)
    const list = { text: Buffer.from('192.0.2.1'), validators: NONE }
    const old = new Date(Date.now() - 61 * 24 * 3_600_000)
    const first = new ListCache([folder], log)
    for (const path of ['unused', 'used', 'asked']) await first.write(`https://lists.test/${path}`, list)
    const copies = readdirSync(folder).filter((name) => name.endsWith('.iplist'))
    assert.equal(copies.length, 3)
    for (const name of [...copies, 'log']) utimesSync(join(folder, name), old, old)
    const draft = `${'0'.repeat(32)}.iplist.abcdef.tmp`
    writeFileSync(join(folder, draft), '')
    utimesSync(join(folder, draft), old, old)

    const second = new ListCache([folder], log)
    await second.read('https://lists.test/used')
    await second.touch('https://lists.test/asked')
    await second.write('https://lists.test/new', list)
    assert.equal(await second.read('https://lists.test/unused'), null)
    for (const path of ['used', 'asked', 'new'])
      assert.notEqual(await second.read(`https://lists.test/${path}`), null, path)
    assert.deepEqual(
      readdirSync(folder).filter((name) => !name.endsWith('.iplist')),
      ['log'],
    )
  },
)

test('where copies are kept: what systemd gives, beside the state file, the cache of the user', (t) => {
  const folder = createFolder(t)
  const state = join(folder, 'state.json')
  assert.deepEqual(
    listCacheDirectories(state, {
      CACHE_DIRECTORY: '/var/cache/a:/var/cache/b',
      XDG_CACHE_HOME: '/xdg',
      HOME: '/home/x',
    }),
    [
      '/var/cache/a/ip-lists',
      join(folder, 'ip-lists'),
      '/xdg/mtg-multi/ip-lists',
      '/home/x/.cache/mtg-multi/ip-lists',
    ],
  )
  assert.deepEqual(listCacheDirectories(null, { XDG_CACHE_HOME: 'relative', HOME: '/home/x' }), [
    '/home/x/.cache/mtg-multi/ip-lists',
  ])
})
