import { formatHostPort, type HostPort, listDcAddresses } from '#shared/dc'
import type { ProxyConfig } from '#shared/config'
import { BugError } from '#shared/errors'
import { createLogger } from '#shared/logger'
import type { LogTarget } from '#shared/worker-control'
import { warnAboutDescriptors } from './descriptor-limit.ts'
import { HandOffs } from './hand-off.ts'
import { Listeners } from './listener.ts'
import { SharedState } from './shared-state.ts'
import { startPrometheus } from './stats/prometheus.ts'
import { startStatsApi } from './stats/stats-api.ts'
import { programVersion } from './version.ts'
import { WorkerPool } from './worker-pool.ts'

/** How often the primary publishes its own counters and repairs the ledger. */
const TICK_MS = 250
/** What sockets get to close after `shutdown-timeout` told them to. */
const CLOSE_GRACE_MS = 1000

export interface ProxyOptions {
  readonly log: LogTarget
  /** Ends the proxy at once when it fires. */
  readonly signal?: AbortSignal
  /** Module of the worker threads in place of our own. */
  readonly workerEntry?: string
}

export interface RunningProxy {
  /** With the real ports, where the configuration said 0. */
  readonly listening: readonly HostPort[]
  readonly apiAddress: HostPort | null
  readonly metricsAddress: HostPort | null
  /** Accept no more, let connections end for up to `shutdown-timeout`, then close them. */
  stop(): Promise<void>
  /** End everything now. */
  kill(): Promise<void>
  /** Resolves after stop or kill; rejects with BugError when the threads die faster than they can be replaced. */
  readonly finished: Promise<void>
}

/**
 * Build the parts and start them in order: addresses are taken first, accepting begins when everything stands.
 * @throws OperatorError when an address cannot be had
 */
export async function startProxy(config: ProxyConfig, options: ProxyOptions): Promise<RunningProxy> {
  const startedAtMs = Date.now()
  const log = createLogger(options.log, 'proxy')
  warnAboutDescriptors(config.concurrency, log)
  const listeners = Listeners.bind(config.bindTo)
  const listening = listeners.addresses
  const state = new SharedState(config)
  const closers: (() => Promise<void> | void)[] = [() => listeners.close()]
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close()
  }

  const pool: WorkerPool = new WorkerPool({
    boot: (thread) => ({ ...state.boot(thread), config, listening, startedAtMs, log: options.log }),
    threads: config.performance.workers,
    ...(options.workerEntry === undefined ? {} : { entry: options.workerEntry }),
    sums: state.sums,
    log,
    onUserSeen: (seen) => handOffs.remember(seen),
    onDeath: (thread) => state.forgetThread(thread),
  })
  closers.push(() => pool.destroy())
  const handOffs = new HandOffs(pool, state.counters, config.concurrency)

  try {
    const api =
      config.apiBindTo === null
        ? null
        : await startStatsApi({
            address: config.apiBindTo,
            snapshot: () => state.snapshot(startedAtMs),
            ready: () => pool.isServing,
          })
    if (api !== null) closers.push(() => api.close())
    const metrics = config.stats.prometheus.enabled
      ? await startPrometheus({
          config: config.stats.prometheus,
          sums: state.sums,
          dcAddresses: () => listDcAddresses(config.dcs),
          version: programVersion(),
        })
      : null
    if (metrics !== null) closers.push(() => metrics.close())

    const { finished: threadsFinished } = await pool.start()
    await listeners.listen({
      onSocket: (socket) => handOffs.take(socket),
      onAcceptError: () => state.countAcceptError(),
      log,
    })
    const ticker = setInterval(() => state.tick(), TICK_MS)
    closers.push(() => clearInterval(ticker))
    log.info({ users: config.users.length, workers: config.performance.workers }, 'proxy has been started')
    for (const address of listening) log.info({ bind: formatHostPort(address) }, 'listening')
    if (api !== null) log.info({ bind: formatHostPort(api.address) }, 'Stats API server started')
    if (metrics !== null) log.info({ bind: formatHostPort(metrics.address) }, 'Prometheus exporter started')

    const finished = endWith(threadsFinished, closeAll)
    finished.catch(() => {}) // `finished` is the caller's; it may be looked at late
    const kill = async (): Promise<void> => {
      await closeAll()
      await finished.catch(() => {})
    }
    const stop = async (): Promise<void> => {
      log.info({ connections: pool.load(), timeout_ms: config.shutdownTimeoutMs }, 'draining')
      listeners.close()
      pool.drain()
      const limit = setTimeout(() => pool.closeAll(), config.shutdownTimeoutMs)
      const end = setTimeout(() => void kill(), config.shutdownTimeoutMs + CLOSE_GRACE_MS)
      await finished.finally(() => {
        clearTimeout(limit)
        clearTimeout(end)
      })
      log.info('proxy has been stopped')
    }
    options.signal?.addEventListener('abort', () => void kill())
    return {
      listening,
      apiAddress: api?.address ?? null,
      metricsAddress: metrics?.address ?? null,
      stop,
      kill,
      finished,
    }
  } catch (error) {
    await closeAll()
    if (error instanceof Error) throw error
    throw new BugError('the proxy could not start', { cause: error })
  }
}

/** Wait for the end, then clean up, however it ended. */
async function endWith(end: Promise<void>, cleanUp: () => Promise<void>): Promise<void> {
  try {
    await end
  } finally {
    await cleanUp()
  }
}
