import { resolve as resolvePath } from 'node:path'
import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import { formatHostPort, type HostPort } from '#shared/dc'
import { LiveResolver } from '#shared/dial/live-resolver'
import type { HostResolver } from '#shared/dial/resolver'
import { createLogger } from '#shared/logger'
import { countDnsIn } from '#shared/state/dns-counter'
import { UNLEARNT_PROFILE, type TrafficProfile } from '#shared/traffic-profile'
import type { LogTarget } from '#shared/worker-control'
import { checkNameServer } from './check-name-server.ts'
import { warnAboutDescriptors } from './descriptor-limit.ts'
import { Ganger } from './doppelganger/ganger.ts'
import { HandOffs } from './hand-off.ts'
import { httpGet } from './http-client.ts'
import { createIpLists } from './ip-lists/create-ip-lists.ts'
import type { IpLists } from './ip-lists/ip-lists.ts'
import type { InheritedSocket } from './inherited-sockets.ts'
import { Listeners } from './listener.ts'
import { SharedState } from './shared-state.ts'
import { TotalsKeeper } from './state-file/totals-keeper.ts'
import { listFamilies } from './stats/list-families.ts'
import { Outputs } from './stats/outputs.ts'
import { TaskPool } from './task-pool.ts'
import { AutoUpdate } from './telegram/auto-update.ts'
import type { PublishedUrls } from './telegram/dc-updater.ts'
import type { HttpDial } from './telegram/http-dial.ts'
import { Routing } from './telegram/routing.ts'
import type { Inheritance, ReplayCover, UpgradeMessage } from './upgrade/messages.ts'
import type { Predecessor } from './upgrade/predecessor.ts'
import { inheritCover } from './upgrade/replay-cover.ts'
import type { ReplayExchange } from './upgrade/replay-exchange.ts'
import { TakeOver } from './upgrade/take-over.ts'
import { WorkerPool } from './worker-pool.ts'

/** How often the primary publishes its own counters and looks after the shared state. */
const TICK_MS = 250
/** What sockets get to close after `shutdown-timeout` told them to. */
const CLOSE_GRACE_MS = 1000

export interface ProxyOptions {
  readonly log: LogTarget
  /** Ends the proxy at once when it fires. */
  readonly signal?: AbortSignal
  /** Fires when a stop was asked for: the start waits for nothing any more. */
  readonly stopping?: AbortSignal
  /** Where downloaded IP lists may be kept over restarts, in place of the usual places. */
  readonly cacheDirectories?: readonly string[]
  /** Listening sockets that a service manager has opened for us. */
  readonly inherited?: readonly InheritedSocket[]
  /** The process whose place this one takes. */
  readonly predecessor?: Predecessor | null
  /** Module of the worker threads in place of our own. */
  readonly workerEntry?: string
  /** After how much silence a thread is taken for dead, in place of HANG_LIMIT_MS. */
  readonly hangLimitMs?: number
  /** JavaScript heap of a worker thread, for tests that fill one. */
  readonly maxHeapMb?: number
  /** Where the addresses of data centres are published, in place of Telegram's own site. */
  readonly publishedUrls?: PublishedUrls
}

/**
 * Build the parts and start them in order: addresses are taken first, accepting begins when everything stands.
 * @throws OperatorError when an address cannot be had
 */
export async function startProxy(config: ProxyConfig, options: ProxyOptions): Promise<RunningProxy> {
  const proxy = new RunningProxy(config, options)
  try {
    await proxy.start()
  } catch (error) {
    await proxy.kill()
    throw error
  }
  options.signal?.addEventListener('abort', () => void proxy.kill())
  return proxy
}

/** The parts of one proxy, from start to stop. Made by `startProxy`. */
export class RunningProxy {
  /** With the real ports, where the configuration said 0. */
  readonly listening: readonly HostPort[]
  /** Resolves after stop or kill; rejects with BugError when the threads die faster than they can be replaced. */
  readonly finished: Promise<void>
  readonly #log: Logger
  readonly #listeners: Listeners
  readonly #state: SharedState
  readonly #routing: Routing
  readonly #autoUpdate: AutoUpdate
  readonly #pool: WorkerPool
  readonly #handOffs: HandOffs
  readonly #resolver: LiveResolver
  readonly #outputs: Outputs
  /** Short jobs, none of which runs on a thread that relays. */
  readonly #tasks: TaskPool
  readonly #ipLists: IpLists
  readonly #stopping: AbortSignal
  readonly #ganger: Ganger
  readonly #startedAtMs: number
  readonly #predecessor: Predecessor | null
  readonly #takeOver: TakeOver | null
  readonly #replayCover: ReplayCover
  readonly #totals: TotalsKeeper
  /** Settles `finished`: null for an end in order. */
  readonly #settle: (error: unknown) => void
  #config: ProxyConfig
  #profile: TrafficProfile
  #level: LogTarget['level']
  /** `reuse-port`. */
  readonly #threadsAccept: boolean
  #isAccepting: boolean
  #ticker: NodeJS.Timeout | null

  constructor(config: ProxyConfig, options: ProxyOptions) {
    this.#config = config
    this.#profile = UNLEARNT_PROFILE
    this.#level = options.log.level
    this.#startedAtMs = Date.now()
    this.#log = createLogger(options.log, 'proxy')
    const { inherited = [], predecessor = null } = options
    this.#predecessor = predecessor
    this.#replayCover = inheritCover(config, predecessor?.inheritance.replay ?? null, this.#startedAtMs)
    const handed = predecessor?.sockets.filter(({ use }) => use === 'clients') ?? []
    // A socket that somebody else has opened is one for all threads: the primary accepts on it.
    this.#threadsAccept = config.reusePort && inherited.length + handed.length === 0
    if (config.reusePort && !this.#threadsAccept) {
      const whose = handed.length > 0 ? 'that were open before: it needs a restart' : 'of the service manager'
      this.#log.warn(`reuse-port has no effect on sockets ${whose}`)
    }
    const backlog = config.listenBacklog
    this.#listeners = Listeners.bind(config.bindTo, {
      backlog,
      inherited,
      handed,
      reserveOnly: this.#threadsAccept,
    })
    this.listening = this.#listeners.addresses
    this.#state = new SharedState(config, this.#log)
    this.#resolver = new LiveResolver(config.network.dns, countDnsIn(this.#state.counters))
    this.#routing = new Routing(config)
    this.#tasks = new TaskPool()
    this.#ipLists = createIpLists({
      config,
      ...(options.cacheDirectories === undefined ? {} : { cacheDirectories: options.cacheDirectories }),
      tasks: this.#tasks,
      get: (url, request) => httpGet(url, { ...request, dial: this.#dialUpstream() }),
      timeoutMs: () => this.#config.network.timeout.httpMs,
      counters: this.#state.counters,
      onChange: (values) => this.#pool.setIpFilter(values),
      log: this.#log,
    })
    this.#stopping = options.stopping ?? new AbortController().signal
    this.#pool = new WorkerPool({
      boot: (thread) => ({
        ...this.#state.boot(thread),
        ...this.#routing.boot(),
        ipFilter: this.#ipLists.values,
        config: this.#config,
        profile: this.#profile,
        listening: this.listening,
        accept: this.#threadsAccept
          ? { addresses: this.listening, backlog, fromStart: this.#isAccepting }
          : null,
        startedAtMs: this.#replayCover.sinceMs,
        log: { ...options.log, level: this.#level },
      }),
      threads: config.performance.workers,
      ...(options.workerEntry === undefined ? {} : { entry: options.workerEntry }),
      ...(options.hangLimitMs === undefined ? {} : { hangLimitMs: options.hangLimitMs }),
      ...(options.maxHeapMb === undefined ? {} : { maxHeapMb: options.maxHeapMb }),
      sums: this.#state.sums,
      log: this.#log,
      onUserSeen: (seen) => this.#handOffs.remember(seen),
      onDeath: (thread) => this.#state.forgetThread(thread),
    })
    this.#handOffs = new HandOffs(this.#pool, this.#state.counters, {
      config,
      ipFilter: this.#ipLists.filter,
      handshakes: this.#state.handshakes,
      log: this.#log,
    })
    this.#outputs = new Outputs({
      config,
      allowedHosts: () => this.#config.apiAllowedHosts,
      families: listFamilies({
        ...this.#state.sources,
        dcAddresses: () => this.#routing.dcAddresses,
        upstreams: () => this.#routing.listUpstreams(),
        perUserLimit: config.stats.perUserLimit,
        workers: () => this.#pool.workers,
      }),
      histograms: this.#state.histogramSums,
      snapshot: () => this.#state.snapshot(this.#startedAtMs),
      ready: () => this.#isAccepting && this.#pool.isServing,
      upstreams: () => this.#routing.listUpstreams(),
      log: this.#log,
    })
    this.#totals = new TotalsKeeper({
      path: config.stateFile,
      log: this.#log,
      read: () => this.#state.listTotals(),
      add: (totals) => this.#state.addTotals(totals),
      onFailure: () => this.#state.countStateSaveFailure(),
    })
    this.#takeOver =
      predecessor === null
        ? null
        : new TakeOver(predecessor, {
            exchange: this.#state.exchangeReplay((message) => predecessor.send(message)),
            onReleased: async () => {
              await this.#totals.adopt()
              await this.#outputs.takeOver()
            },
            log: this.#log,
          })
    this.#ganger = new Ganger({
      config,
      listening: this.listening,
      tasks: this.#tasks,
      resolver: this.#resolver,
      upstreams: () => this.#routing.taskUpstreams(),
      log: createLogger(options.log, 'proxy.doppelganger'),
      onProfile: (profile) => {
        this.#profile = profile
        this.#pool.setProfile(profile)
      },
    })
    this.#autoUpdate = new AutoUpdate({
      log: this.#log,
      timeoutMs: () => this.#config.network.timeout.httpMs,
      dial: () => this.#dialUpstream(),
      onUpdate: (published) => {
        if (this.#routing.publish(published)) this.#pushAddresses()
      },
      onFailure: () => this.#state.countDcUpdateFailure(),
      ...(options.publishedUrls === undefined ? {} : { urls: options.publishedUrls }),
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {}) // it is the caller's, who may look late
    this.finished = promise
    this.#settle = (error) => (error === null ? resolve() : reject(error))
    this.#isAccepting = false
    this.#ticker = null
  }

  /** For what the primary asks of the network itself. It follows reloads. */
  get resolver(): HostResolver {
    return this.#resolver
  }

  get apiAddress(): HostPort | null {
    return this.#outputs.apiAddress
  }

  get metricsAddress(): HostPort | null {
    return this.#outputs.metricsAddress
  }

  /** @throws OperatorError when an address cannot be had, BugError when the threads do not come up */
  async start(): Promise<void> {
    await checkNameServer(this.#config.network.dns)
    warnAboutDescriptors(this.#config.concurrency, this.#log)
    await this.#openTotals()
    await this.#outputs.start(this.#predecessor?.sockets)
    const listsLoaded = this.#ipLists.start(this.#stopping)
    const { finished } = await this.#pool.start()
    void this.#watch(finished)
    await Promise.race([listsLoaded, finished])
    await this.#takeOver?.prepare()
    await this.#listeners.listen({
      onSocket: (socket) => this.#handOffs.take(socket),
      onAcceptError: () => this.#state.countAcceptError(),
      log: this.#log,
    })
    this.#isAccepting = true
    if (this.#threadsAccept) await this.#pool.listen()
    await this.#takeOver?.complete()
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
    this.#autoUpdate.setOn(this.#config.autoUpdate)
    this.#logStart()
    this.#ganger.start()
  }

  /**
   * Take up a changed configuration: users, limits, timeouts and the log level from now on, for new connections.
   * Connections of users who are no longer in it are closed, all others go on. What needs a restart must be as it was.
   */
  async reload(config: ProxyConfig): Promise<void> {
    // The steps that can fail come first, and setting them back cannot.
    await checkNameServer(config.network.dns)
    this.#routing.setConfig(config)
    try {
      this.#state.setUsers(config.users)
    } catch (error) {
      this.#routing.setConfig(this.#config)
      throw error
    }
    this.#resolver.setDns(config.network.dns)
    this.#config = config
    if (this.#level !== 'silent') this.#level = config.debug ? 'debug' : 'info'
    this.#log.level = this.#level
    this.#state.setThrottle(config.throttle)
    this.#handOffs.setConfig(config)
    this.#ipLists.setConfig(config.defense)
    this.#autoUpdate.setOn(config.autoUpdate)
    await this.#pushValues()
    this.#ganger.setConfig(config)
  }

  /** Give all threads what holds now. */
  async #pushValues(): Promise<void> {
    await this.#pool.reload({
      config: this.#config,
      users: this.#state.users,
      routing: this.#routing.values(),
      logLevel: this.#level,
    })
  }

  #pushAddresses(): void {
    this.#pushValues().catch((error: unknown) =>
      this.#log.error({ error: String(error) }, 'a worker thread did not take the addresses of data centres'),
    )
  }

  /** How what the program fetches for itself leaves this host. */
  #dialUpstream(): HttpDial {
    const { proxies, timeout } = this.#config.network
    // The connect of a request that may take longer: a proxy that hangs leaves time for the next one, and is counted.
    return this.#routing.httpDial(proxies, timeout.tcpMs, this.#resolver.lookup)
  }

  /** Accept no more, let connections end for up to `shutdown-timeout`, then close them. */
  async stop(): Promise<void> {
    const { shutdownTimeoutMs } = this.#config
    this.#log.info({ connections: this.#pool.load(), timeout_ms: shutdownTimeoutMs }, 'draining')
    this.#isAccepting = false
    this.#listeners.close()
    void this.#totals.save() // the drain may be cut short
    this.#ipLists.stop()
    this.#autoUpdate.stop()
    this.#ganger.stop()
    this.#pool.drain()
    const limit = setTimeout(() => this.#pool.closeAll(), shutdownTimeoutMs)
    const end = setTimeout(() => void this.kill(), shutdownTimeoutMs + CLOSE_GRACE_MS)
    try {
      await this.finished
    } finally {
      clearTimeout(limit)
      clearTimeout(end)
    }
    this.#log.info('proxy has been stopped')
  }

  /** Whether every thread does what it is asked to. */
  answers(): Promise<boolean> {
    return this.#pool.answers()
  }

  /** Close what a drain still waits for. */
  endDrain(): void {
    this.#pool.closeAll()
    setTimeout(() => void this.kill(), CLOSE_GRACE_MS)
  }

  /** Whether a successor could take over everything that there is. */
  get isWhole(): boolean {
    return this.#isAccepting && this.#totals.isOwner
  }

  /** What a successor begins with. Its descriptors stay ours as well. */
  get inheritance(): Inheritance {
    const clients = this.#listeners.handed.map((socket) => ({ ...socket, use: 'clients' as const }))
    return {
      sockets: [...clients, ...this.#outputs.handed],
      replay: this.#config.defense.antiReplay.enabled ? this.#replayCover : null,
      stateFile: this.#stateFile,
    }
  }

  /** Keep a successor's replay set and ours the same; null without anti-replay. */
  exchangeReplay(send: (message: UpgradeMessage) => Promise<void>): ReplayExchange | null {
    return this.#state.exchangeReplay(send)
  }

  /** A successor serves: accept and answer no more, and let go of the state file. `stop` is what follows. */
  async retire(): Promise<void> {
    this.#isAccepting = false
    this.#listeners.close()
    this.#outputs.retire()
    await this.#totals.release()
  }

  /** End everything now. */
  async kill(): Promise<void> {
    this.#listeners.close()
    await this.#pool.destroy()
    await this.#finish(null)
  }

  async #openTotals(): Promise<void> {
    const others = this.#predecessor?.inheritance.stateFile ?? null
    if (others !== null && others === this.#stateFile) this.#totals.wait()
    else await this.#totals.open()
  }

  /** Absolute. */
  get #stateFile(): string | null {
    const { stateFile } = this.#config
    return stateFile === null ? null : resolvePath(stateFile)
  }

  #tick(): void {
    this.#state.tick()
    this.#handOffs.tick()
  }

  #logStart(): void {
    const { users, performance } = this.#config
    this.#log.info({ users: users.length, workers: performance.workers }, 'proxy has been started')
    for (const address of this.listening) this.#log.info({ bind: formatHostPort(address) }, 'listening')
    this.#outputs.logStart()
  }

  async #watch(threads: Promise<void>): Promise<void> {
    try {
      await threads
      await this.#finish(null)
    } catch (error) {
      await this.#finish(error)
    }
  }

  /** The threads have ended, or never came up: nothing of ours stays open. */
  async #finish(failure: unknown): Promise<void> {
    if (this.#ticker !== null) clearInterval(this.#ticker)
    this.#autoUpdate.stop()
    this.#listeners.close()
    this.#ipLists.stop()
    this.#ganger.stop()
    this.#resolver.close()
    this.#handOffs.close()
    await this.#pool.destroy()
    this.#state.counters.publish() // what came since the last tick
    this.#takeOver?.stop()
    await Promise.all([this.#tasks.close(), this.#outputs.close(), this.#totals.close()])
    this.#settle(failure)
  }
}
