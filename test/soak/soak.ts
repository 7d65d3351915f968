import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { TestContext } from 'node:test'
import { countAccepted } from '../support/kernel-sockets.ts'
import { countDescriptors } from '../support/process-state.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { startSocksServer } from '../support/socks-server.ts'
import { startStatsdServer, type StatsdServer } from '../support/statsd-server.ts'
import { ACTS, crowd, holder, sleeper, talker, type Act, type Stage } from './acts.ts'
import { Clients, sleep } from './clients.ts'
import { createConfigFile, type ConfigFile, type Settings } from './config-file.ts'
import { startDataCentre } from './data-centre.ts'
import { Gate } from './gate.ts'
import { Model } from './model.ts'
import { startProgram, type Program } from './program.ts'
import { startSite } from './site.ts'
import { compareAtEnd, compareUsers, ROUGH_USERS, STEADY_USERS } from './verdict.ts'
import type { Vitals } from './inside.ts'
import { patiently } from './patiently.ts'

const WALKERS = 20
const HOLDERS = 14
const SLEEPERS = 2
const THINK_MS = 700
/** An operator does something so often. Deaths stay below five a minute, which would end the program. */
const EVENT_EACH_MS = 7000
const EVENTS = ['death', 'users', 'limit', 'list', 'quota', 'crowd'] as const
const KINDS_OF_DEATH = ['throw', 'reject', 'exit'] as const
/** More than the user moves in an hour: nobody is cut. */
const QUOTA_MIB = 100_000
const BLOCKED_ALWAYS = '127.0.0.66'
const BLOCKED_AT_TIMES = '127.0.0.77'

export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  readonly proxyProtocol: boolean
  readonly onProgress: (moment: Moment) => void
}

/** The program once everybody stands still. */
export interface Moment {
  readonly minute: number
  readonly sessions: number
  readonly rssMib: number
  readonly descriptors: number
  readonly heapMib: number
  readonly loopDelayMs: Vitals['loopDelayMs']
  /** Of the clients' process in the same time: how busy the machine is. */
  readonly ownLoopDelayP99Ms: number
  readonly held: number
}

export interface SoakResult {
  readonly variant: string
  readonly minutes: number
  readonly seed: number
  readonly sessions: number
  readonly deaths: number
  readonly reloads: number
  readonly cpuCores: number
  readonly moments: readonly Moment[]
  /** How wide the model's bounds are, and where the program's numbers lie in them. */
  readonly counters: Readonly<Record<string, string>>
  readonly problems: readonly string[]
}

/** One run: mixed load, events, and at the end every number of the program against the model's. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const cleanups: (() => unknown)[] = []
  // The servers of test/support use a test's context for this one thing.
  const context = { after: (cleanup: () => unknown) => void cleanups.push(cleanup) } as unknown as TestContext
  const folder = mkdtempSync(join(tmpdir(), 'mtg-multi-soak-'))
  cleanups.push(() => rmSync(folder, { recursive: true }))
  try {
    const dc = await startDataCentre()
    cleanups.push(() => dc.close())
    const site = await startSite()
    cleanups.push(() => site.close())
    const socks = await startSocksServer(context)
    const statsd = await startStatsdServer(context)
    const file = await createConfigFile(folder, {
      dcPort: dc.port,
      sitePort: site.port,
      socksPort: socks.port,
      statsdPort: statsd.port,
      proxyProtocol: options.proxyProtocol,
    })
    const model = new Model()
    const clients = new Clients(file.ports.proxy, dc, model, options.proxyProtocol)
    cleanups.push(() => clients.close())
    const soak = new Soak({ ...options, file, model, clients, statsd })
    cleanups.push(() => soak.abandon())
    return await soak.run()
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup()
  }
}

interface Parts extends SoakOptions {
  readonly file: ConfigFile
  readonly model: Model
  readonly clients: Clients
  readonly statsd: StatsdServer
}

class Soak {
  readonly #parts: Parts
  readonly #random: () => number
  readonly #gate: Gate
  readonly #moments: Moment[]
  readonly #guests: Set<string>
  readonly #ownDelay: ReturnType<typeof monitorEventLoopDelay>
  #program: Program | null
  #settings: Settings
  #events: (typeof EVENTS)[number][]
  #deaths: number
  #reloads: number
  #isOver: boolean

  constructor(parts: Parts) {
    this.#parts = parts
    this.#random = seededRandom(parts.seed)
    this.#gate = new Gate()
    this.#moments = []
    this.#guests = new Set(['guest-1'])
    this.#ownDelay = monitorEventLoopDelay({ resolution: 10 })
    this.#ownDelay.enable()
    this.#program = null
    this.#settings = {
      users: secretsOf(this.#guests),
      quotaMib: QUOTA_MIB,
      throttleLimit: 45,
      blocked: [BLOCKED_ALWAYS],
    }
    this.#events = []
    this.#deaths = 0
    this.#reloads = 0
    this.#isOver = false
  }

  async run(): Promise<SoakResult> {
    const { minutes, seed, clients, model, statsd, file, proxyProtocol } = this.#parts
    const program = await startProgram(file, this.#settings)
    this.#program = program
    clients.setSecrets(this.#settings.users)
    clients.mayRefuse = true
    await this.#untilListed(1)
    const startedMs = performance.now()
    const endMs = startedMs + minutes * 60_000

    // Everything is used once before the first look, so that what is made once is not taken for a leak.
    for (const [, act] of ACTS) await act(this.#stage())
    const before = { descriptors: await this.#settledDescriptors(0), vitals: await program.measure() }

    const loops = [
      ...Array.from({ length: WALKERS }, () => this.#walk()),
      ...Array.from({ length: HOLDERS }, () => this.#repeat(holder)),
      ...Array.from({ length: SLEEPERS }, () => this.#repeat(sleeper)),
    ]
    const momentEachMs = Math.min(60_000, (endMs - startedMs) / 4)
    let nextMomentMs = startedMs + momentEachMs
    while (performance.now() < endMs) {
      await sleep(EVENT_EACH_MS)
      await this.#makeEvent()
      if (performance.now() < nextMomentMs) continue
      nextMomentMs += momentEachMs
      await this.#standStill((performance.now() - startedMs) / 60_000)
    }
    this.#isOver = true
    await Promise.all(loops)
    await patiently('everything booked', () => clients.isSettled, Boolean)

    const seconds = (performance.now() - startedMs) / 1000
    const cpuCores = Math.round((program.cpuSeconds() / seconds) * 100) / 100
    const { problems, counters } = await compareAtEnd({
      program,
      model,
      statsd,
      stateFile: file.stateFile,
      deaths: this.#deaths,
      before,
      moments: this.#moments,
      settledDescriptors: () => this.#settledDescriptors(before.descriptors),
    })
    return {
      variant: proxyProtocol ? 'behind a balancer' : 'direct',
      minutes,
      seed,
      sessions: clients.sessions,
      deaths: this.#deaths,
      reloads: this.#reloads,
      cpuCores,
      moments: this.#moments,
      counters,
      problems: [...clients.problems, ...problems],
    }
  }

  async abandon(): Promise<void> {
    this.#isOver = true
    this.#gate.open()
    process.stderr.write((await this.#program?.kill()) ?? '') // why it has ended by itself, if it has
  }

  #stage(): Stage {
    const { clients, model } = this.#parts
    return {
      clients,
      model,
      random: this.#random,
      pickUser: () => pick(this.#random, [...STEADY_USERS, ...this.#guests]),
      pickRoughUser: () => pick(this.#random, ROUGH_USERS),
      blockedAddress: BLOCKED_ALWAYS,
      isOver: () => this.#isOver,
    }
  }

  async #walk(): Promise<void> {
    while (!this.#isOver) {
      await this.#gate.pass(() => drawAct(this.#random)(this.#stage()))
      await sleep(this.#random() * THINK_MS)
    }
  }

  /** Outside of the gate: these stay when everybody else stands still. */
  async #repeat(act: Act): Promise<void> {
    while (!this.#isOver) {
      await sleep(this.#random() * THINK_MS)
      await this.#gate.untilOpen()
      if (!this.#isOver) await act(this.#stage())
    }
  }

  /** Each kind once, in an order that is drawn, and then again: a short soak has them all. */
  async #makeEvent(): Promise<void> {
    if (this.#events.length === 0)
      this.#events = EVENTS.map((event) => ({ event, at: this.#random() }))
        .sort((a, b) => a.at - b.at)
        .map(({ event }) => event)
    switch (this.#events.pop()) {
      case 'death':
        return this.#killThread()
      case 'users':
        return this.#changeUsers()
      case 'limit':
        return this.#changeLimit()
      case 'list':
        return this.#changeList()
      case 'quota':
        // Larger, or smaller again: what threads hold of it in advance, and what is used, stays right.
        return this.#reload({
          quotaMib: QUOTA_MIB + (this.#settings.quotaMib === QUOTA_MIB ? 7 : 0),
        })
      case 'crowd':
        return crowd(this.#stage())
      case undefined:
        return // never: it was filled just now
    }
  }

  async #killThread(): Promise<void> {
    const { clients } = this.#parts
    const program = this.#program!
    const delay = readWorst(await program.metrics(), 'mtg_worker_event_loop_delay_seconds')
    clients.beginDeath(delay * 1000)
    this.#deaths += 1
    const kind = pick(this.#random, KINDS_OF_DEATH)
    await program.inject(this.#deaths % 2, { kind })
    await patiently(
      'the death',
      () => program.complaints.filter(({ message }) => message === 'worker thread died').length,
      (deaths) => deaths === this.#deaths,
    )
    await program.untilReady()
    await sleep(1000)
    clients.endDeath()
  }

  async #changeUsers(): Promise<void> {
    const guest = `guest-${1 + Math.floor(this.#random() * 3)}`
    const { clients } = this.#parts
    if (!this.#guests.has(guest)) {
      await this.#reload({ users: secretsOf(new Set([...this.#guests, guest])) })
      clients.setSecrets(this.#settings.users)
      this.#guests.add(guest)
      return
    }
    this.#guests.delete(guest)
    const cut = talker({ ...this.#stage(), pickUser: () => guest })
    await sleep(500) // whoever is connecting as this guest is done
    clients.remove(guest)
    await this.#reload({ users: secretsOf(this.#guests) })
    await cut
  }

  async #changeLimit(): Promise<void> {
    const throttleLimit = pick(this.#random, [0, 30, 45, 60])
    const { clients } = this.#parts
    clients.mayRefuse = true
    await this.#reload({ throttleLimit })
    clients.mayRefuse = throttleLimit > 0
  }

  async #changeList(): Promise<void> {
    const both = this.#settings.blocked.length === 1
    const blocked = both ? [BLOCKED_ALWAYS, BLOCKED_AT_TIMES] : [BLOCKED_ALWAYS]
    await this.#reload({ blocked })
    await this.#untilListed(blocked.length)
  }

  async #reload(changed: Partial<Settings>): Promise<void> {
    this.#settings = { ...this.#settings, ...changed }
    this.#reloads += 1
    await this.#program!.reload(this.#settings)
  }

  async #untilListed(networks: number): Promise<void> {
    await patiently(
      'the list',
      async () => /^mtg_iplist_size\{ip_list="blocklist"\} (\d+)$/m.exec(await this.#program!.metrics())?.[1],
      (size) => size === String(networks),
    )
  }

  /** Nobody comes or goes but the sleepers: ledger, kernel and model have to agree. */
  async #standStill(minute: number): Promise<void> {
    const { clients, file, model, onProgress } = this.#parts
    const program = this.#program!
    await this.#gate.close()
    await patiently('everything booked', () => clients.isSettled, Boolean)
    const look = async (): Promise<{ differences: string[]; held: number }> => {
      const { total_connections: total, users } = await program.stats()
      const held = countAccepted(file.ports.proxy)
      const open = clients.countOpen()
      const expected = Object.values(open).reduce((sum, count) => sum + count, 0)
      const differences = [
        ...(total === expected ? [] : [`${total} in the ledger, ${expected} sessions`]),
        ...(held === expected ? [] : [`${held} in the kernel, ${expected} sessions`]),
        ...Object.entries(users)
          .filter(([name, { connections }]) => connections !== (open[name] ?? 0))
          .map(([name, { connections }]) => `${name} holds ${connections}, not ${open[name] ?? 0}`),
      ]
      return { differences, held }
    }
    const { held } = await patiently('agreement', look, ({ differences }) => differences.length === 0)
    clients.problems.push(...compareUsers(await program.stats(), model, 'at least'))
    const vitals = await program.measure()
    const moment: Moment = {
      minute: Math.round(minute * 10) / 10,
      sessions: clients.sessions,
      rssMib: toMib(program.rssBytes()),
      descriptors: countDescriptors(program.pid),
      heapMib: toMib(vitals.heapBytes.reduce((sum, bytes) => sum + bytes, 0)),
      loopDelayMs: vitals.loopDelayMs,
      ownLoopDelayP99Ms: Math.round(this.#ownDelay.percentile(99) / 1e5) / 10,
      held,
    }
    this.#ownDelay.reset()
    this.#moments.push(moment)
    onProgress(moment)
    this.#gate.open()
  }

  /** As soon as they are back; what they are in the end if they are not. */
  async #settledDescriptors(baseline: number): Promise<number> {
    const count = (): number => countDescriptors(this.#program!.pid)
    if (baseline === 0)
      await patiently(
        'no connection',
        () => countAccepted(this.#parts.file.ports.proxy),
        (held) => held === 0,
      )
    await patiently('the descriptors of before', count, (now) => baseline === 0 || now <= baseline).catch(
      () => {},
    )
    return count()
  }
}

function secretsOf(guests: ReadonlySet<string>): Record<string, string> {
  const names = [...STEADY_USERS, 'greedy', ...[...guests].sort()]
  return Object.fromEntries(names.map((name) => [name, secretOf(name)]))
}

/** The same for the same name, also when it comes back. */
function secretOf(name: string): string {
  const key = Buffer.alloc(16, name).toString('hex')
  return `ee${key}${Buffer.from('example.com').toString('hex')}`
}

function pick<T>(random: () => number, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!
}

const ALL_WEIGHTS = ACTS.reduce((sum, [weight]) => sum + weight, 0)

function drawAct(random: () => number): Act {
  let left = random() * ALL_WEIGHTS
  for (const [weight, act] of ACTS) if ((left -= weight) < 0) return act
  return ACTS[0]![1]
}

const toMib = (bytes: number): number => Math.round((bytes / 1024 / 1024) * 10) / 10

function readWorst(metrics: string, name: string): number {
  const values = [...metrics.matchAll(new RegExp(`^${name}\\{.*\\} (\\S+)$`, 'gm'))].map(([, value]) =>
    Number(value),
  )
  return Math.max(0, ...values)
}
