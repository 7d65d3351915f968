import assert from 'node:assert/strict'
import { once, EventEmitter } from 'node:events'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { ListUpdater } from '#primary/ip-lists/list-updater'
import type { IpListConfig } from '#shared/config'
import type { MergedList } from '#shared/ip-list'
import { IpRanges } from '#shared/ip-ranges'
import { startFaultyWay } from '../../support/faulty-way.ts'
import { startListServer } from '../../support/list-server.ts'
import { configure, createFolder, createTools, LIMIT, StandingClock, type Tools } from './bench.ts'

interface Running {
  readonly updater: ListUpdater
  readonly clock: StandingClock
  readonly failures: () => number
  /** The newest list has, and has not, these addresses. */
  assertHas(inside: readonly string[], outside: readonly string[]): void
  /** Resolves with the next list. */
  nextList(): Promise<MergedList>
  lists(): number
}

function run(
  t: TestContext,
  tools: Tools,
  config: IpListConfig,
  options: { waitsForAll?: boolean; before?: ListUpdater } = {},
): Running {
  const clock = new StandingClock()
  const events = new EventEmitter()
  let list: MergedList | null = null
  let lists = 0
  let failures = 0
  const updater = new ListUpdater({
    name: 'blocklist',
    config,
    waitsForAll: options.waitsForAll ?? false,
    tools,
    copyOf: (source) => options.before?.copyOf(source) ?? null,
    onMerged: (merged) => {
      list = merged
      lists += 1
      events.emit('list', merged)
    },
    onFailure: () => (failures += 1),
    sleep: clock.sleep,
  })
  t.after(() => updater.stop())
  return {
    updater,
    clock,
    failures: () => failures,
    assertHas: (inside, outside) => {
      const ranges = list === null ? null : new IpRanges(list.ranges)
      for (const address of inside) assert.equal(ranges?.has(address), true, address)
      for (const address of outside) assert.equal(ranges?.has(address) ?? false, false, address)
    },
    nextList: async () => {
      const [merged] = (await once(events, 'list')) as [MergedList] // emitted above
      return merged
    },
    lists: () => lists,
  }
}

/** operator.md §9: the two fixtures that need a source. */
test('fixture: a local file and a URL together are their union', LIMIT, async (t) => {
  const tools = createTools(t)
  const path = join(tools.folder, 'local')
  writeFileSync(path, '10.0.0.10\n10.1.0.0/24\n')
  const server = await startListServer(t, { '/list': { body: '2001:db8::/32\n10.0.0.10\n' } })
  const running = run(t, tools, configure([{ kind: 'file', path }, server.url('/list')]))
  await running.updater.start()
  running.assertHas(['10.0.0.10', '10.1.0.100'], ['127.0.0.1', '2001:db8::7'])
  const list = await running.nextList()
  assert.equal(list.networkCount, 3, 'what both have counts once')
  running.assertHas(['10.0.0.10', '10.1.0.100', '2001:db8::7'], ['127.0.0.1', '2001:db9::'])
})

test('fixture: a URL that nobody serves matches nothing, and says so', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t)
  await server.close()
  const running = run(t, tools, configure([server.url('/list?token=hidden')]))
  await running.updater.start()
  const { ms } = await running.clock.nextWait()
  assert.equal(ms, 2000)
  assert.equal(running.lists(), 0)
  const line = tools.logLines().find(({ message }) => message === 'update has failed')
  assert.equal(line?.['level'], 'warn')
  assert.equal(line?.['filename'], server.url('/list?…'))
  assert.match(String(line?.['error']), /ECONNREFUSED/)
  assert.doesNotMatch(JSON.stringify(tools.logLines()), /hidden/)
})

test('a list that the server still has is not downloaded again, a new one is', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t, {
    '/etag': { body: '192.0.2.1', etag: '"one"' },
    '/date': { body: '192.0.2.2', lastModified: 'Wed, 01 Oct 2025 00:00:00 GMT' },
  })
  const running = run(t, tools, configure([server.url('/etag'), server.url('/date')]), { waitsForAll: true })
  const loaded = running.nextList()
  await running.updater.start()
  await loaded
  const [first, second] = [await running.clock.nextWait(), await running.clock.nextWait()]
  assert.deepEqual([first.ms, second.ms], [86_400_000, 86_400_000])
  first.end()
  second.end()
  const third = await running.clock.nextWait()
  const fourth = await running.clock.nextWait()
  assert.deepEqual(
    server.requests.map(({ status }) => status),
    [200, 200, 304, 304],
  )
  assert.equal(running.lists(), 1)
  running.assertHas(['192.0.2.1', '192.0.2.2'], [])

  server.answers.set('/etag', { body: '192.0.2.3', etag: '"two"' })
  const changed = running.nextList()
  third.end()
  fourth.end()
  await changed
  running.assertHas(['192.0.2.2', '192.0.2.3'], ['192.0.2.1'])
})

test('a source that fails keeps its last good copy, the others go on', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t, { '/a': { body: '192.0.2.1' }, '/b': { body: '192.0.2.2' } })
  const running = run(t, tools, configure([server.url('/a'), server.url('/b')]), { waitsForAll: true })
  const loaded = running.nextList()
  await running.updater.start()
  await loaded
  const failing = [
    { body: 'gone', status: 500 },
    { body: '<html>\n<title>captive portal</title>' },
    { body: '192.0.2.77', status: 302 },
    { body: Buffer.alloc(33 * 2 ** 20, '192.0.2.77\n') },
    { body: '192.0.2.77\n192.0.2.78\n', cutAfterBytes: 11 },
  ]
  const waits = [await running.clock.nextWait(), await running.clock.nextWait()]
  const reasons = [
    /status 500/,
    /not an IP list.*line 1 is "<html>"/,
    /status 302/,
    /larger than 33554432 bytes/,
    /aborted/,
  ]
  for (const [at, answer] of failing.entries()) {
    server.answers.set('/a', answer)
    server.answers.set('/b', { body: `192.0.2.${10 + at}` })
    const changed = running.nextList()
    for (const wait of waits.splice(0)) wait.end()
    await changed
    running.assertHas(['192.0.2.1', `192.0.2.${10 + at}`], ['192.0.2.2', '192.0.2.77'])
    waits.push(await running.clock.nextWait(), await running.clock.nextWait())
    const line = tools.logLines().findLast(({ message }) => message === 'update has failed')
    assert.match(String(line?.['error']), reasons[at] ?? /never/)
    assert.equal(line?.['kept'], 1)
  }
  assert.equal(running.failures(), failing.length)
})

test(
  'whatever stands where the server was, the last copy holds, and the server is back as soon as it is',
  LIMIT,
  async (t) => {
    const timeout = { ms: 10_000 }
    const tools = createTools(t, createFolder(t), () => timeout.ms)
    const server = await startListServer(t, { '/list': { body: '192.0.2.1' } })
    const way = await startFaultyWay(t, Number(new URL(server.url('/')).port))
    const running = run(t, tools, configure([`http://127.0.0.1:${way.port}/list`]))
    let loaded = running.nextList()
    await running.updater.start()
    await loaded
    let last = 1
    for (const fault of ['down', 'reset', 'hang', 'garbage', 'truncate'] as const) {
      let wait = await running.clock.nextWait()
      await way.setFault(fault)
      timeout.ms = fault === 'hang' ? 500 : 10_000
      wait.end()
      wait = await running.clock.nextWait()
      assert.equal(wait.ms, 2000, fault)
      const line = tools.logLines().findLast(({ level }) => level === 'warn')
      assert.deepEqual(
        [line?.['message'], line?.['kept'], line?.['retry_in_ms']],
        ['update has failed', 1, 2000],
      )
      running.assertHas([`192.0.2.${last}`], [])
      last += 1
      server.answers.set('/list', { body: `192.0.2.${last}` })
      await way.setFault(null)
      timeout.ms = 10_000
      loaded = running.nextList()
      wait.end()
      await loaded
      running.assertHas([`192.0.2.${last}`], [`192.0.2.${last - 1}`])
    }
    assert.equal(running.failures(), 5)
  },
)

test(
  'a source that fails is asked again ever more rarely, and as usual once it is well',
  LIMIT,
  async (t) => {
    const tools = createTools(t)
    const server = await startListServer(t)
    const running = run(t, tools, configure([server.url('/list')]))
    await running.updater.start()
    const waits: number[] = []
    for (let n = 0; n < 11; n++) {
      const wait = await running.clock.nextWait()
      waits.push(wait.ms / 1000)
      wait.end()
    }
    assert.deepEqual(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600])
    const wait = await running.clock.nextWait()
    server.answers.set('/list', { body: '192.0.2.1' })
    wait.end()
    const usual = await running.clock.nextWait()
    assert.equal(usual.ms, 86_400_000)
    server.answers.delete('/list')
    usual.end()
    assert.equal((await running.clock.nextWait()).ms, 2000)
  },
)

test('no retry is later than the next update would be', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t)
  const running = run(t, tools, configure([server.url('/list')], { updateEachMs: 3000 }))
  await running.updater.start()
  for (const expected of [2000, 3000, 3000]) {
    const { ms, end } = await running.clock.nextWait()
    assert.equal(ms, expected)
    end()
  }
})

test('so many sources are fetched at once as download-concurrency says', LIMIT, async (t) => {
  const tools = createTools(t)
  const gate = Promise.withResolvers<void>()
  const paths = Array.from({ length: 8 }, (_, n) => `/${n}`)
  const server = await startListServer(
    t,
    Object.fromEntries(paths.map((path, n) => [path, { body: `192.0.2.${n}`, after: gate.promise }])),
  )
  const sources = paths.map((path) => server.url(path))
  const running = run(t, tools, configure(sources, { downloadConcurrency: 3 }), { waitsForAll: true })
  const loaded = running.nextList()
  await running.updater.start()
  while (server.open.now < 3) await setImmediate()
  for (let turn = 0; turn < 200; turn++) await setImmediate() // a fourth one would be here by now
  assert.equal(server.open.now, 3)
  gate.resolve()
  assert.equal((await loaded).networkCount, 8)
  assert.equal(server.open.most, 3)
})

test('a download is there again after a restart, with the server gone or as it was', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t, { '/list': { body: '192.0.2.1\n', etag: '"one"' } })
  const config = configure([server.url('/list')])
  const first = run(t, tools, config)
  await first.updater.start()
  await first.clock.nextWait()
  first.updater.stop()

  const second = run(t, createTools(t, tools.folder), config)
  await second.updater.start()
  second.assertHas(['192.0.2.1'], ['192.0.2.2'])
  await second.clock.nextWait()
  assert.deepEqual(
    server.requests.map(({ status }) => status),
    [200, 304],
  )
  second.updater.stop()

  await server.close()
  const third = run(t, createTools(t, tools.folder), config)
  await third.updater.start()
  third.assertHas(['192.0.2.1'], ['192.0.2.2'])
  assert.equal((await third.clock.nextWait()).ms, 2000)
  third.assertHas(['192.0.2.1'], ['192.0.2.2'])
})

test('a copy on disk that is broken is as good as none', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t, { '/list': { body: '192.0.2.1\n', etag: '"one"' } })
  const config = configure([server.url('/list')])
  const first = run(t, tools, config)
  await first.updater.start()
  await first.clock.nextWait()
  first.updater.stop()
  const cache = join(tools.folder, 'cache')
  const [name = ''] = readdirSync(cache)
  for (const broken of [
    '',
    'no header\n192.0.2.9',
    '#mtg-multi {"etag":\n192.0.2.9',
    '#mtg-multi {}\n<html>',
  ]) {
    writeFileSync(join(cache, name), broken)
    const running = run(t, createTools(t, tools.folder), config)
    await running.updater.start()
    assert.equal(running.lists(), 0)
    await running.nextList()
    running.assertHas(['192.0.2.1'], ['192.0.2.9'])
    await running.clock.nextWait()
    running.updater.stop()
  }
  assert.ok(server.requests.every(({ status }) => status === 200))
})

test('a file is read again at its time: edited, replaced, gone', LIMIT, async (t) => {
  const tools = createTools(t)
  const path = join(tools.folder, 'local')
  writeFileSync(path, '192.0.2.1\n')
  const running = run(t, tools, configure([{ kind: 'file', path }]))
  await running.updater.start()
  running.assertHas(['192.0.2.1'], ['192.0.2.2'])
  const wait = await running.clock.nextWait()
  writeFileSync(path, '192.0.2.2\nno network\n')
  wait.end()
  await running.nextList()
  running.assertHas(['192.0.2.2'], ['192.0.2.1'])
  const line = tools.logLines().find(({ lines }) => lines === 1)
  assert.deepEqual([line?.['filename'], line?.['first']], [path, ['2: no network']])

  const untouched = await running.clock.nextWait()
  untouched.end()
  const gone = await running.clock.nextWait()
  assert.equal(running.lists(), 2, 'a file that is as it was makes no new list')
  rmSync(path)
  gone.end()
  assert.equal((await running.clock.nextWait()).ms, 2000)
  running.assertHas(['192.0.2.2'], ['192.0.2.1'])

  writeFileSync(path, '192.0.2.3\n')
  await running.updater.rereadFiles()
  running.assertHas(['192.0.2.3'], ['192.0.2.2'])
})

test('what is no regular file is refused at once, a device that never ends too', LIMIT, async (t) => {
  const tools = createTools(t)
  const running = run(
    t,
    tools,
    configure([
      { kind: 'file', path: tools.folder },
      { kind: 'file', path: '/dev/zero' },
    ]),
  )
  await running.updater.start()
  assert.equal(running.failures(), 2)
})

test('a successor begins with the copies of the sources that stay', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t, {
    '/a': { body: '192.0.2.1', etag: '"a"' },
    '/b': { body: '192.0.2.2' },
  })
  const before = run(t, tools, configure([server.url('/a')]))
  await before.updater.start()
  await before.clock.nextWait()
  before.updater.stop()
  const gate = Promise.withResolvers<void>()
  server.answers.set('/b', { body: '192.0.2.2', after: gate.promise })
  const after = run(t, tools, configure([server.url('/a'), server.url('/b')]), { before: before.updater })
  await after.updater.start()
  after.assertHas(['192.0.2.1'], ['192.0.2.2'])
  const both = after.nextList()
  gate.resolve()
  await both
  after.assertHas(['192.0.2.1', '192.0.2.2'], [])
  assert.deepEqual(server.requests.map(({ path, status }) => `${path} ${status}`).toSorted(), [
    '/a 200',
    '/a 304',
    '/b 200',
  ])
})

test('an updater that was stopped makes no list and fails no more', LIMIT, async (t) => {
  const tools = createTools(t)
  const gate = Promise.withResolvers<void>()
  const server = await startListServer(t, { '/list': { body: '192.0.2.1', after: gate.promise } })
  const running = run(t, tools, configure([server.url('/list')]))
  await running.updater.start()
  while (server.open.now === 0) await setImmediate()
  running.updater.stop()
  gate.resolve()
  while (server.requests.length === 0) await setImmediate()
  for (let turn = 0; turn < 200; turn++) await setImmediate()
  assert.deepEqual([running.lists(), running.failures()], [0, 0])
  assert.ok(!tools.logLines().some(({ message }) => message === 'update has failed'))
})

test('a list that is being made when the updater is stopped is not told any more', LIMIT, async (t) => {
  const tools = createTools(t)
  const path = join(tools.folder, 'local')
  writeFileSync(path, '192.0.2.1')
  const merging = Promise.withResolvers<void>()
  const stopped: Tools = {
    ...tools,
    tasks: {
      run: (name, task) =>
        tools.tasks.run(name, task).finally(() => {
          if (name !== 'merge-ip-lists') return
          running.updater.stop()
          merging.resolve()
        }),
    },
  }
  const running = run(t, stopped, configure([{ kind: 'file', path }]))
  await running.updater.start()
  await merging.promise
  assert.equal(running.lists(), 0)
})
