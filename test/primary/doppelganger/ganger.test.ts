import assert from 'node:assert/strict'
import { mock, test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import { Ganger } from '#primary/doppelganger/ganger'
import type { DoppelgangerConfig, ProxyConfig } from '#shared/config'
import { UpstreamRegistry } from '#shared/dial/upstream-state'
import { DialError } from '#shared/errors'
import type { FrontProbeResult, FrontProbeTask, VisitResult, VisitTask } from '#shared/front-probe'
import type { TrafficProfile } from '#shared/traffic-profile'
import { buildTestConfig } from '../../support/proxy.ts'

const HOUR_MS = 3_600_000
const FLIGHT = {
  cipherSuite: 0x1301,
  group: 0x001d,
  extensions: [0x2b, 0x33],
  encryptedBytes: [3000],
  recordBytes: [2995],
  tickets: 2,
}
const LEARNT: FrontProbeResult = { ok: true, flights: { hybrid: FLIGHT, classic: FLIGHT } }
const UPSTREAMS = new UpstreamRegistry()
const PAGE: VisitResult = { ok: true, gapsNs: [1e6, 2e6], flightBytes: 3000, location: null }

const secretFor = (host: string, seed: number): string =>
  `ee${Buffer.alloc(16, seed).toString('hex')}${Buffer.from(host).toString('hex')}`

interface Settings extends Partial<DoppelgangerConfig> {
  readonly hosts?: readonly string[]
  readonly frontHost?: string
}

function configure({ hosts = ['front.test'], frontHost, ...doppelganger }: Settings): ProxyConfig {
  const config = buildTestConfig({
    users: Object.fromEntries(hosts.map((host, i) => [`user${i}`, secretFor(host, i + 1)])),
    dcs: {},
    fronting: { host: frontHost ?? '192.0.2.1', port: 443 },
  })
  const base = {
    urls: [],
    repeatsPerRaid: 2,
    raidEachMs: HOUR_MS,
    drs: false,
    pacing: 'burst',
    learnFront: true,
  } as const
  return {
    ...config,
    domainFronting: { ...config.domainFronting, host: frontHost ?? null },
    defense: { ...config.defense, doppelganger: { ...base, ...doppelganger } },
  }
}

interface Bench {
  ganger: Ganger
  probes: FrontProbeTask[]
  visits: VisitTask[]
  profiles: TrafficProfile[]
  lines: () => { level: number; msg: string; error?: string }[]
  /** What the next tasks find. */
  answers: { probe: (task: FrontProbeTask) => Promise<FrontProbeResult>; visit: () => Promise<VisitResult> }
  maxRunning: () => number
}

/** A ganger whose tasks are answered here; its time is mocked. */
function openBench(t: TestContext, settings: Settings): Bench {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
  const log: string[] = []
  const probes: FrontProbeTask[] = []
  const visits: VisitTask[] = []
  const profiles: TrafficProfile[] = []
  const answers: Bench['answers'] = { probe: async () => LEARNT, visit: async () => PAGE }
  let running = 0
  let maxRunning = 0
  const run = async (name: string, task: unknown): Promise<unknown> => {
    running += 1
    maxRunning = Math.max(maxRunning, running)
    try {
      await nextTurn()
      if (name === 'probe-front') {
        probes.push(task as FrontProbeTask)
        return await answers.probe(task as FrontProbeTask)
      }
      visits.push(task as VisitTask)
      return await answers.visit()
    } finally {
      running -= 1
    }
  }
  const ganger = new Ganger({
    config: configure(settings),
    listening: [{ host: '127.0.0.1', port: 443 }],
    tasks: { run: run as never }, // the names and tasks are those of `Tasks`; a stand-in cannot be generic over them
    resolver: {
      resolveWithin: async (host) => {
        if (host === 'nowhere.test')
          throw new DialError('unresolved', 'cannot resolve nowhere.test: ENOTFOUND')
        return [host === 'loop.test' ? '127.0.0.1' : '192.0.2.7']
      },
    },
    upstreams: () => UPSTREAMS,
    log: pino({}, { write: (line) => void log.push(line) }),
    onProfile: (profile) => profiles.push(profile),
  })
  t.after(() => ganger.stop())
  return {
    ganger,
    probes,
    visits,
    profiles,
    answers,
    lines: () => log.map((line) => JSON.parse(line) as { level: number; msg: string; error?: string }),
    maxRunning: () => maxRunning,
  }
}

/** Let everything that can go on without time go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await nextTurn()
}

async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms)
  await settle()
}

test('every distinct host is probed at the start and every raid-each, four at once', async (t) => {
  const hosts = ['a.test', 'B.test', 'b.test', 'c.test', 'd.test', 'e.test', 'f.test']
  const bench = openBench(t, { hosts })
  bench.ganger.start()
  await settle()
  assert.deepEqual(
    bench.probes.map(({ serverName }) => serverName),
    ['a.test', 'b.test', 'c.test', 'd.test', 'e.test', 'f.test'],
  )
  assert.deepEqual(bench.probes[0]?.addresses, [{ host: '192.0.2.7', port: 443 }])
  assert.equal(bench.maxRunning(), 4)
  assert.deepEqual(
    [...bench.profiles.at(-1)!.flights.keys()].toSorted(),
    bench.probes.map((p) => p.serverName),
  )
  await pass(HOUR_MS - 1)
  assert.equal(bench.probes.length, 6)
  await pass(1)
  assert.equal(bench.probes.length, 12)
})

test('domain-fronting.host is what is dialled, the host of the secret what is asked for', async (t) => {
  const bench = openBench(t, { hosts: ['a.test', 'b.test'], frontHost: 'site.test' })
  bench.ganger.start()
  await settle()
  assert.deepEqual(
    bench.probes.map(({ serverName, addresses }) => [serverName, addresses[0]?.host]),
    [
      ['a.test', '192.0.2.7'],
      ['b.test', '192.0.2.7'],
    ],
  )
})

test('what fails is a warning, is tried again after 1, 2, 4 … minutes, and what is known stays known', async (t) => {
  const bench = openBench(t, {})
  bench.ganger.start()
  await settle()
  bench.answers.probe = async () => ({ ok: false, reason: 'no answer within 10000 ms' })
  await pass(HOUR_MS)
  assert.equal(bench.probes.length, 2)
  const warning = bench.lines().findLast(({ msg }) => msg === 'cannot learn')
  assert.deepEqual([warning?.level, warning?.error], [40, 'front.test:443: no answer within 10000 ms'])
  assert.ok(bench.profiles.at(-1)?.flights.has('front.test'))
  for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
    const before: number = bench.probes.length
    await pass(minutes * 60_000 - 1)
    assert.equal(bench.probes.length, before, `not before ${minutes} minutes`)
    await pass(1)
    assert.equal(bench.probes.length, before + 1)
  }
  bench.answers.probe = async () => LEARNT
  await pass(HOUR_MS)
  const before = bench.probes.length
  await pass(60_000)
  assert.equal(bench.probes.length, before, 'all is well again: the next raid is in an hour')
})

test('a thread of tasks that dies, a name that leads nowhere, and a name that leads to us are reasons', async (t) => {
  for (const [frontHost, expected] of [
    ['nowhere.test', 'nowhere.test:443 as front.test: cannot resolve nowhere.test: ENOTFOUND'],
    ['loop.test', 'loop.test:443 as front.test is this proxy itself'],
    ['dies.test', 'dies.test:443 as front.test: worker exited'],
  ] as const) {
    await t.test(frontHost, async (t) => {
      const bench = openBench(t, { frontHost })
      bench.answers.probe = async () => {
        throw new Error('worker exited')
      }
      bench.ganger.start()
      await settle()
      assert.equal(bench.lines().find(({ msg }) => msg === 'cannot learn')?.error, expected)
      assert.equal(bench.probes.length, frontHost === 'dies.test' ? 1 : 0)
    })
  }
})

test('a page that cannot be visited is named without what may be a password or a token', async (t) => {
  const bench = openBench(t, {
    hosts: [],
    urls: ['https://me:pa55@front.test/page?token=t0ken'],
    learnFront: false,
  })
  for (const visit of [
    async () => ({ ...PAGE, location: 'http://front.test/' }) as const,
    async () => Promise.reject(new Error('worker exited')),
  ]) {
    bench.answers.visit = visit
    bench.ganger.start()
    await settle()
    bench.ganger.stop()
  }
  const said = bench.lines().filter(({ msg }) => msg === 'cannot learn')
  assert.deepEqual(
    [...new Set(said.map(({ error }) => error))],
    ['redirected to a place without TLS', 'worker exited'].map(
      (reason) => `https://front.test/page?…: ${reason}`,
    ),
  )
})

test('a raid never overlaps itself, however long it takes', async (t) => {
  const bench = openBench(t, { raidEachMs: 1000 })
  const slow = Promise.withResolvers<FrontProbeResult>()
  bench.answers.probe = () => slow.promise
  bench.ganger.start()
  await settle()
  await pass(10_000)
  assert.equal(bench.probes.length, 1)
  slow.resolve(LEARNT)
  await settle()
  await pass(1000)
  assert.equal(bench.probes.length, 2)
})

test('a reload that matters begins a raid behind the one that runs; one that does not changes nothing', async (t) => {
  const bench = openBench(t, { hosts: ['a.test', 'b.test'] })
  bench.ganger.start()
  await settle()
  bench.ganger.setConfig(configure({ hosts: ['a.test', 'b.test'], pacing: 'full', drs: true }))
  await settle()
  assert.equal(bench.probes.length, 2)

  const slow = Promise.withResolvers<FrontProbeResult>()
  bench.answers.probe = () => slow.promise
  bench.ganger.setConfig(configure({ hosts: ['b.test', 'c.test'] }))
  assert.deepEqual([...bench.profiles.at(-1)!.flights.keys()], ['b.test'], 'a.test is nobody’s any more')
  await settle()
  assert.equal(bench.probes.length, 4)
  bench.answers.probe = async () => LEARNT
  bench.ganger.setConfig(configure({ hosts: ['d.test'] }))
  await settle()
  assert.equal(bench.probes.length, 4, 'the raid before has not ended')
  slow.resolve(LEARNT)
  await settle()
  assert.equal(bench.probes.at(-1)?.serverName, 'd.test')
  assert.deepEqual([...bench.profiles.at(-1)!.flights.keys()], ['d.test'])
  bench.ganger.setConfig(configure({ learnFront: false }))
  await settle()
  assert.equal(bench.profiles.at(-1)?.flights.size, 0, 'switched off, nothing is followed')
  await pass(HOUR_MS * 2)
  assert.equal(bench.probes.length, 5)
})

test('pages give delays and noise; other pages begin anew', async (t) => {
  const bench = openBench(t, { learnFront: false, urls: ['https://front.test/'], repeatsPerRaid: 60 })
  bench.ganger.start()
  for (let i = 0; i < 10; i++) await settle()
  assert.equal(bench.visits.length, 60)
  const { delays, noise } = bench.profiles.at(-1)!
  assert.ok(delays.lambdaMs > 1 && delays.lambdaMs < 2.5)
  assert.deepEqual(noise, { meanBytes: 3000, jitterBytes: 100 })
  const messages = bench.lines().map(({ msg }) => msg)
  assert.ok(messages.includes('updated noise params: mean=3000 jitter=100 samples=60'))
  assert.ok(messages.some((msg) => /^updated delay params: k=\S+ lambda=\S+ samples=120$/.test(msg)))

  bench.ganger.setConfig(configure({ learnFront: false, urls: ['https://other.test/'] }))
  assert.equal(bench.profiles.at(-1)?.noise, null)
})
