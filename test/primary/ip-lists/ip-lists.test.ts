import assert from 'node:assert/strict'
import { once, EventEmitter } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { IpLists, LOAD_LIMIT_MS } from '#primary/ip-lists/ip-lists'
import type { ListTools } from '#primary/ip-lists/list-source'
import type { DefenseConfig, IpListConfig } from '#shared/config'
import type { CompiledSource } from '#shared/ip-list'
import { IpFilter, type IpFilterValues, type IpVerdict } from '#shared/ip-filter'
import { CounterRow, CounterSums, createCountersMemory } from '#shared/state/counters'
import { type MetricName, slot } from '#shared/state/layout'
import { startListServer } from '../../support/list-server.ts'
import { measureHeap } from '../../support/process-state.ts'
import { configure, createTools, LIMIT, StandingClock, type Tools } from './bench.ts'

const OFF = configure([], { enabled: false })

function defense(lists: { allowlist?: IpListConfig; blocklist?: IpListConfig }): DefenseConfig {
  return {
    maxHandshakes: 0,
    maxHandshakesPerAddress: 0,
    antiReplay: { enabled: true, maxSizeBytes: 2 ** 24 },
    allowlist: lists.allowlist ?? OFF,
    blocklist: lists.blocklist ?? OFF,
    doppelganger: {
      urls: [],
      repeatsPerRaid: 10,
      raidEachMs: 1000,
      drs: false,
      pacing: 'burst',
      learnFront: false,
    },
  }
}

interface Running {
  readonly lists: IpLists
  readonly clock: StandingClock
  readonly check: (address: string) => IpVerdict
  /** Resolves when other lists are in force than now. */
  readonly nextChange: () => Promise<void>
  readonly metric: (name: MetricName, list: 'allowlist' | 'blocklist') => number
}

function create(t: TestContext, tools: Tools, config: DefenseConfig): Running {
  const memory = createCountersMemory(1)
  const counters = new CounterRow(memory, 1)
  const clock = new StandingClock()
  const events = new EventEmitter()
  const lists = new IpLists({
    config,
    tools,
    counters,
    onChange: (values: IpFilterValues) => {
      // What the other threads are told is what holds here.
      assert.equal(new IpFilter(values).check('192.0.2.1'), lists.filter.check('192.0.2.1'))
      events.emit('change')
    },
    sleep: clock.sleep,
  })
  t.after(() => lists.stop())
  return {
    lists,
    clock,
    check: (address) => lists.filter.check(address),
    nextChange: async () => void (await once(events, 'change')),
    metric: (name, list) => {
      counters.publish()
      return new CounterSums(memory).sum(slot(name, { ip_list: list }))
    },
  }
}

const never = new AbortController().signal

/** Whether it is resolved once everything that is ready has run. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return (await Promise.race([promise, setImmediate(pending)])) === pending
}

test('disabled lists hold from the first moment, and nothing is waited for', LIMIT, async (t) => {
  const { lists, check, metric } = create(t, createTools(t), defense({}))
  assert.equal(check('192.0.2.1'), 'allowed')
  await lists.start(never)
  assert.equal(check('192.0.2.1'), 'allowed')
  assert.equal(
    metric('iplist_size', 'allowlist'),
    2,
    'all of IPv4 and all of IPv6, as the reference tells it',
  )
  assert.equal(metric('iplist_size', 'blocklist'), 0)
})

test('an allowlist that has to be downloaded is waited for; before, nobody gets in', LIMIT, async (t) => {
  const gate = Promise.withResolvers<void>()
  const server = await startListServer(t, {
    '/slow': { body: '192.0.2.0/24', after: gate.promise },
    '/fast': { body: '198.51.100.0/24\n2001:db8::/32' },
  })
  const config = defense({ allowlist: configure([server.url('/slow'), server.url('/fast')]) })
  const { lists, check, metric } = create(t, createTools(t), config)
  assert.equal(check('192.0.2.1'), 'not-allowlisted')
  const started = lists.start(never)
  while (server.requests.length === 0) assert.ok(await isPending(started))
  assert.ok(await isPending(started), 'half an allowlist is none')
  gate.resolve()
  await started
  assert.equal(check('192.0.2.1'), 'allowed')
  assert.equal(check('198.51.100.1'), 'allowed')
  assert.equal(check('203.0.113.1'), 'not-allowlisted')
  assert.equal(metric('iplist_size', 'allowlist'), 3)
})

test('it is waited for so long and no longer; it may come later', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t)
  const { lists, clock, check, metric, nextChange } = create(
    t,
    tools,
    defense({ allowlist: configure([server.url('/list')]) }),
  )
  const started = lists.start(never)
  const limit = await clock.nextWait()
  assert.equal(limit.ms, LOAD_LIMIT_MS)
  const retry = await clock.nextWait()
  assert.ok(await isPending(started))
  limit.end()
  await started
  assert.equal(check('192.0.2.1'), 'not-allowlisted')
  assert.equal(metric('iplist_update_failures', 'allowlist'), 1)
  assert.ok(tools.logLines().some(({ message }) => /in time/.test(String(message))))
  server.answers.set('/list', { body: '192.0.2.0/24' })
  const changed = nextChange()
  retry.end()
  await changed
  assert.equal(check('192.0.2.1'), 'allowed')
})

test('who asks the program to stop does not wait for a list', LIMIT, async (t) => {
  const server = await startListServer(t)
  const { lists } = create(t, createTools(t), defense({ allowlist: configure([server.url('/list')]) }))
  const hurry = new AbortController()
  const started = lists.start(hurry.signal)
  assert.ok(await isPending(started))
  hurry.abort()
  await started
})

test('a blocklist is not waited for, except for what this host has of it', LIMIT, async (t) => {
  const tools = createTools(t)
  const gate = Promise.withResolvers<void>()
  const server = await startListServer(t, { '/list': { body: '192.0.2.2', after: gate.promise } })
  const path = join(tools.folder, 'local')
  writeFileSync(path, '192.0.2.1')
  const config = defense({ blocklist: configure([{ kind: 'file', path }, server.url('/list')]) })
  const { lists, check, nextChange } = create(t, tools, config)
  await lists.start(never)
  assert.deepEqual([check('192.0.2.1'), check('192.0.2.2')], ['blocklisted', 'allowed'])
  const changed = nextChange()
  gate.resolve()
  await changed
  assert.equal(check('192.0.2.2'), 'blocklisted')
})

test('an allowlist that is enabled and has no sources lets nobody in, at once', LIMIT, async (t) => {
  const { lists, check } = create(t, createTools(t), defense({ allowlist: configure([]) }))
  await lists.start(never)
  assert.equal(check('192.0.2.1'), 'not-allowlisted')
})

test('a reload: on, other sources, another action, off', LIMIT, async (t) => {
  const server = await startListServer(t, {
    '/a': { body: '192.0.2.1', etag: '"a"' },
    '/b': { body: '192.0.2.2' },
  })
  const { lists, check, metric, nextChange } = create(t, createTools(t), defense({}))
  await lists.start(never)

  const reload = async (config: DefenseConfig): Promise<void> => {
    const changed = nextChange()
    lists.setConfig(config)
    await changed
  }
  await reload(defense({ blocklist: configure([server.url('/a')]) }))
  assert.deepEqual([check('192.0.2.1'), metric('iplist_size', 'blocklist')], ['blocklisted', 1])

  await reload(defense({ blocklist: configure([server.url('/a')], { action: 'front' }) }))
  assert.equal(lists.values.blocklist?.action, 'front')

  // Until the new list is there the old one holds.
  const gate = Promise.withResolvers<void>()
  server.answers.set('/b', { body: '192.0.2.2', after: gate.promise })
  const replaced = reload(defense({ blocklist: configure([server.url('/b')]) }))
  assert.deepEqual([check('192.0.2.1'), check('192.0.2.2')], ['blocklisted', 'allowed'])
  gate.resolve()
  await replaced
  assert.deepEqual([check('192.0.2.1'), check('192.0.2.2')], ['allowed', 'blocklisted'])

  await reload(defense({ allowlist: configure([server.url('/a')]), blocklist: OFF }))
  assert.deepEqual([check('192.0.2.2'), metric('iplist_size', 'blocklist')], ['allowed', 0])
})

test(
  'a reload with an allowlist that cannot be had: nobody is cut off before the limit',
  LIMIT,
  async (t) => {
    const server = await startListServer(t)
    const { lists, clock, check, nextChange } = create(t, createTools(t), defense({}))
    await lists.start(never)
    lists.setConfig(defense({ allowlist: configure([server.url('/list')]) }))
    const limit = await clock.nextWait()
    assert.equal(limit.ms, LOAD_LIMIT_MS)
    await clock.nextWait()
    assert.equal(check('192.0.2.1'), 'allowed')
    const changed = nextChange()
    limit.end()
    await changed
    assert.equal(check('192.0.2.1'), 'not-allowlisted')
  },
)

test('a reload with a slip in the URL keeps the allowlist that was there', LIMIT, async (t) => {
  const tools = createTools(t)
  const server = await startListServer(t, { '/list': { body: '192.0.2.0/24' } })
  const { lists, clock, check, nextChange } = create(
    t,
    tools,
    defense({ allowlist: configure([server.url('/list')]) }),
  )
  await lists.start(never)
  assert.equal((await clock.nextWait()).ms, LOAD_LIMIT_MS) // woken when the list came
  await clock.nextWait()
  lists.setConfig(defense({ allowlist: configure([server.url('/lits')]) }))
  const limit = await clock.nextWait()
  assert.equal(limit.ms, LOAD_LIMIT_MS)
  const retry = await clock.nextWait()
  limit.end()
  while (!tools.logLines().some(({ message }) => /one before stays/.test(String(message))))
    await setImmediate()
  assert.deepEqual([check('192.0.2.1'), check('198.51.100.1')], ['allowed', 'not-allowlisted'])
  server.answers.set('/lits', { body: '198.51.100.0/24' })
  const changed = nextChange()
  retry.end()
  await changed
  assert.deepEqual([check('192.0.2.1'), check('198.51.100.1')], ['not-allowlisted', 'allowed'])
})

test('a reload that changes nothing looks at the files again', LIMIT, async (t) => {
  const tools = createTools(t)
  const path = join(tools.folder, 'local')
  writeFileSync(path, '192.0.2.1')
  const config = (): DefenseConfig => defense({ blocklist: configure([{ kind: 'file', path }]) })
  const { lists, check, nextChange } = create(t, tools, config())
  await lists.start(never)
  writeFileSync(path, '192.0.2.2')
  const changed = nextChange()
  lists.setConfig(config())
  await changed
  assert.deepEqual([check('192.0.2.1'), check('192.0.2.2')], ['allowed', 'blocklisted'])
})

test(
  'what sources said under earlier configurations is let go, however often it is reloaded',
  LIMIT,
  async (t) => {
    const tools = createTools(t)
    const compiled: WeakRef<SharedArrayBuffer>[] = []
    const run: ListTools['tasks']['run'] = (name, task, signal) => {
      const running = tools.tasks.run(name, task, signal)
      const keepInMind = (result: unknown): void => {
        if (name === 'compile-ip-list') compiled.push(new WeakRef((result as CompiledSource).networks.v4)) // that task's result
      }
      running.then(keepInMind, () => {})
      return running
    }
    const path = join(tools.folder, 'local')
    const config = (reload: number): DefenseConfig =>
      defense({ blocklist: configure([{ kind: 'file', path }], { updateEachMs: 1_000_000 + reload }) })
    writeFileSync(path, '192.0.2.0')
    const { lists, check, nextChange } = create(t, { ...tools, tasks: { run } }, config(0))
    await lists.start(never)
    for (let reload = 1; reload <= 8; reload++) {
      writeFileSync(path, '192.0.2.1\n'.repeat(reload))
      const changed = nextChange()
      lists.setConfig(config(reload))
      await changed
    }
    assert.equal(check('192.0.2.1'), 'blocklisted')
    await setImmediate() // a WeakRef holds what it was asked for to the end of the turn
    measureHeap()
    assert.equal(compiled.length, 9)
    const kept = compiled.filter((copy) => copy.deref() !== undefined).length
    assert.ok(kept <= 2, `${kept} of ${compiled.length} copies are still there`)
  },
)
