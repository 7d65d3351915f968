import { resolve as resolvePath } from 'node:path'
import type { ProxyConfig } from '#shared/config'
import { formatHostPort, type HostPort } from '#shared/dc'
import type { HostResolver } from '#shared/dial/resolver'
import { checkNameServer } from './check-name-server.ts'
import { createParts } from './create-parts.ts'
import { warnAboutDescriptors } from './descriptor-limit.ts'
import type { ProxyOptions } from './proxy-options.ts'
import type { ProxyParts } from './proxy-parts.ts'
import { reloadParts } from './reload-parts.ts'
import type { Inheritance, UpgradeMessage } from './upgrade/messages.ts'
import type { Predecessor } from './upgrade/predecessor.ts'
import type { ReplayExchange } from './upgrade/replay-exchange.ts'

/** How often the primary publishes its own counters and looks after the shared state. */
const TICK_MS = 250
/** What sockets get to close after `shutdown-timeout` told them to. */
const CLOSE_GRACE_MS = 1000

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
  return proxy
}

/** The parts of one proxy, from start to stop. Made by `startProxy`. */
export class RunningProxy {
  /** With the real ports, where the configuration said 0. */
  readonly listening: readonly HostPort[]
  /** Resolves after stop or kill; rejects with BugError when the threads die faster than they can be replaced. */
  readonly finished: Promise<void>
  readonly #parts: ProxyParts
  readonly #stopping: AbortSignal
  readonly #predecessor: Predecessor | null
  /** Settles `finished`: null for an end in order. */
  readonly #settle: (error: unknown) => void
  #ticker: NodeJS.Timeout | null

  /** @throws OperatorError when an address cannot be had */
  constructor(config: ProxyConfig, options: ProxyOptions) {
    this.#parts = createParts(config, options)
    this.listening = this.#parts.listeners.addresses
    this.#stopping = options.stopping ?? new AbortController().signal
    this.#predecessor = options.predecessor ?? null
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {}) // it is the caller's, who may look late
    this.finished = promise
    this.#settle = (error) => (error === null ? resolve() : reject(error))
    this.#ticker = null
  }

  /** For what the primary asks of the network itself. It follows reloads. */
  get resolver(): HostResolver {
    return this.#parts.resolver
  }

  get apiAddress(): HostPort | null {
    return this.#parts.outputs.apiAddress
  }

  get metricsAddress(): HostPort | null {
    return this.#parts.outputs.metricsAddress
  }

  /** @throws OperatorError when an address cannot be had, BugError when the threads do not come up */
  async start(): Promise<void> {
    const { current, log, listeners, ipLists, pool, state, handOffs, takeOver } = this.#parts
    await checkNameServer(current.config.network.dns)
    warnAboutDescriptors(current.config.concurrency, log)
    await this.#openTotals()
    await this.#parts.outputs.start(this.#predecessor?.sockets)
    const listsLoaded = ipLists.start(this.#stopping)
    const { finished } = await pool.start()
    void this.#watch(finished)
    await Promise.race([listsLoaded, finished])
    await takeOver?.prepare()
    await listeners.listen({
      onSocket: (socket) => handOffs.take(socket),
      onAcceptError: () => state.countAcceptError(),
      log: log,
    })
    current.isAccepting = true
    if (this.#parts.threadsAccept) await pool.listen()
    await takeOver?.complete()
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
    this.#parts.autoUpdate.setOn(current.config.autoUpdate)
    this.#logStart()
    this.#parts.ganger.start()
  }

  /**
   * Take up a changed configuration: users, limits, timeouts and the log level from now on, for new connections.
   * Connections of users who are no longer in it are closed, all others go on. What needs a restart must be as it was.
   */
  async reload(config: ProxyConfig): Promise<void> {
    await reloadParts(this.#parts, config)
  }

  /** Accept no more, let connections end for up to `shutdown-timeout`, then close them. */
  async stop(): Promise<void> {
    const { current, log, listeners, pool } = this.#parts
    const { shutdownTimeoutMs } = current.config
    log.info({ connections: pool.load(), timeout_ms: shutdownTimeoutMs }, 'draining')
    current.isAccepting = false
    listeners.close()
    void this.#parts.totals.save() // the drain may be cut short
    this.#parts.ipLists.stop()
    this.#parts.autoUpdate.stop()
    this.#parts.ganger.stop()
    pool.drain()
    const limit = setTimeout(() => pool.closeAll(), shutdownTimeoutMs)
    const end = setTimeout(() => void this.kill(), shutdownTimeoutMs + CLOSE_GRACE_MS)
    try {
      await this.finished
    } finally {
      clearTimeout(limit)
      clearTimeout(end)
    }
    log.info('proxy has been stopped')
  }

  /** Whether every thread does what it is asked to. */
  answers(): Promise<boolean> {
    return this.#parts.pool.answers()
  }

  /** Close what a drain still waits for. */
  endDrain(): void {
    this.#parts.pool.closeAll()
    setTimeout(() => void this.kill(), CLOSE_GRACE_MS)
  }

  /** Whether a successor could take over everything that there is. */
  get isWhole(): boolean {
    return this.#parts.current.isAccepting && this.#parts.totals.isOwner
  }

  /** What a successor begins with. Its descriptors stay ours as well. */
  get inheritance(): Inheritance {
    const clients = this.#parts.listeners.handed.map((socket) => ({ ...socket, use: 'clients' as const }))
    return {
      sockets: [...clients, ...this.#parts.outputs.handed],
      replay: this.#parts.current.config.defense.antiReplay.enabled ? this.#parts.replayCover : null,
      stateFile: this.#stateFile,
    }
  }

  /** Keep a successor's replay set and ours the same; null without anti-replay. */
  exchangeReplay(send: (message: UpgradeMessage) => Promise<void>): ReplayExchange | null {
    return this.#parts.state.exchangeReplay(send)
  }

  /** A successor serves: accept and answer no more, and let go of the state file. `stop` is what follows. */
  async retire(): Promise<void> {
    this.#parts.current.isAccepting = false
    this.#parts.listeners.close()
    this.#parts.outputs.retire()
    await this.#parts.totals.release()
  }

  /** End everything now. */
  async kill(): Promise<void> {
    this.#parts.listeners.close()
    await this.#parts.pool.destroy()
    await this.#finish(null)
  }

  async #openTotals(): Promise<void> {
    const others = this.#predecessor?.inheritance.stateFile ?? null
    if (others !== null && others === this.#stateFile) this.#parts.totals.wait()
    else await this.#parts.totals.open()
  }

  /** Absolute. */
  get #stateFile(): string | null {
    const { stateFile } = this.#parts.current.config
    return stateFile === null ? null : resolvePath(stateFile)
  }

  #tick(): void {
    this.#parts.state.tick()
    this.#parts.handOffs.tick()
  }

  #logStart(): void {
    const { current, log, outputs } = this.#parts
    const { users, performance } = current.config
    log.info({ users: users.length, workers: performance.workers }, 'proxy has been started')
    for (const address of this.listening) log.info({ bind: formatHostPort(address) }, 'listening')
    outputs.logStart()
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
    const { pool, state, tasks, outputs, totals } = this.#parts
    if (this.#ticker !== null) clearInterval(this.#ticker)
    this.#parts.autoUpdate.stop()
    this.#parts.listeners.close()
    this.#parts.ipLists.stop()
    this.#parts.ganger.stop()
    this.#parts.resolver.close()
    this.#parts.handOffs.close()
    await pool.destroy()
    state.counters.publish() // what came since the last tick
    this.#parts.takeOver?.stop()
    await Promise.all([tasks.close(), outputs.close(), totals.close()])
    this.#settle(failure)
  }
}
