import { closeSync } from 'node:fs'
import type { Logger } from 'pino'
import type { HttpAddress, ProxyConfig } from '#shared/config'
import type { HostPort } from '#shared/dc'
import type { HistogramSums } from '#shared/state/histogram'
import type { UpstreamSnapshot } from '#shared/dial/upstream-state'
import type { HandedSocket, SocketUse } from '../upgrade/messages.ts'
import { programVersion } from '../version.ts'
import type { SampledFamily } from './families.ts'
import type { RunningHttpServer } from './http-server.ts'
import { startPrometheus } from './prometheus.ts'
import { startStatsApi } from './stats-api.ts'
import type { StatsSnapshot } from './stats-json.ts'
import { startStatsd, type Statsd } from './statsd.ts'

export interface OutputsOptions {
  readonly config: Pick<ProxyConfig, 'apiBindTo' | 'apiPathPrefix' | 'stats'>
  /** `api-allowed-hosts`; it follows reloads. */
  readonly allowedHosts: () => readonly string[]
  readonly families: readonly SampledFamily[]
  readonly histograms: HistogramSums
  readonly snapshot: () => StatsSnapshot
  /** Whether new connections would be served now. */
  readonly ready: () => boolean
  readonly upstreams: () => readonly UpstreamSnapshot[]
  readonly log: Logger
}

/** Where operators see what the proxy does: the stats API, the Prometheus exporter and StatsD, as far as configured. */
export class Outputs {
  readonly #options: OutputsOptions
  #api: RunningHttpServer | null
  #metrics: RunningHttpServer | null
  #statsd: Statsd | null
  /** By their descriptors: servers that begin when the process before us has stopped answering. */
  readonly #waiting: Map<number, () => Promise<void>>

  constructor(options: OutputsOptions) {
    this.#options = options
    this.#api = null
    this.#metrics = null
    this.#statsd = null
    this.#waiting = new Map()
  }

  get apiAddress(): HostPort | null {
    return this.#api?.address ?? null
  }

  get metricsAddress(): HostPort | null {
    return this.#metrics?.address ?? null
  }

  /**
   * @param handed what the process before us answers on; those servers start by `takeOver`, all others now
   * @throws OperatorError when an address cannot be had
   */
  async start(handed: readonly HandedSocket[] = []): Promise<void> {
    const { config, families, log } = this.#options
    const { prometheus, statsd } = config.stats
    const socketFor = (use: SocketUse, address: HttpAddress): number | null =>
      handed.find((socket) => socket.use === use && isAt(socket.address, address))?.fd ?? null
    if (config.apiBindTo !== null)
      await this.#begin(socketFor('api', config.apiBindTo), (fd) => this.#startApi(fd))
    if (prometheus.enabled)
      await this.#begin(socketFor('metrics', prometheus.bindTo), (fd) => this.#startMetrics(fd))
    if (statsd.enabled) this.#statsd = startStatsd({ config: statsd, families, log })
    for (const { fd, use } of handed) if (use !== 'clients' && !this.#waiting.has(fd)) closeSync(fd)
  }

  /** The process before us answers no more: go on in its place. */
  async takeOver(): Promise<void> {
    for (const [fd, begin] of this.#waiting) {
      this.#waiting.delete(fd)
      await begin()
    }
  }

  /** What a successor can go on with. */
  get handed(): readonly HandedSocket[] {
    const servers = [
      ['api', this.#api],
      ['metrics', this.#metrics],
    ] as const
    return servers.flatMap(([use, server]) => {
      const fd = server?.fd ?? null
      return server === null || fd === null ? [] : [{ use, fd, address: server.address }]
    })
  }

  /** A successor answers from now on. */
  retire(): void {
    this.#api?.retire()
    this.#metrics?.retire()
  }

  async #begin(handed: number | null, start: (fd: number | null) => Promise<void>): Promise<void> {
    if (handed === null) await start(null)
    else this.#waiting.set(handed, () => start(handed))
  }

  async #startApi(handed: number | null): Promise<void> {
    const { config, allowedHosts, snapshot, ready, upstreams, log } = this.#options
    if (config.apiBindTo === null) return
    this.#api = await startStatsApi({
      address: config.apiBindTo,
      handed,
      pathPrefix: config.apiPathPrefix,
      version: programVersion(),
      snapshot,
      ready,
      upstreams,
      hosts: { allowed: allowedHosts, log },
      onError: (error) => log.error({ error }, 'stats API server error'),
    })
  }

  async #startMetrics(handed: number | null): Promise<void> {
    const { config, allowedHosts, families, histograms, log } = this.#options
    this.#metrics = await startPrometheus({
      config: config.stats.prometheus,
      handed,
      families,
      histograms,
      version: programVersion(),
      hosts: { allowed: allowedHosts, log },
      onError: (error) => log.error({ error }, 'Prometheus exporter error'),
    })
  }

  logStart(): void {
    const { log } = this.#options
    if (this.#api !== null) log.info({ bind: this.#api.bind }, 'Stats API server started')
    if (this.#metrics !== null) log.info({ bind: this.#metrics.bind }, 'Prometheus exporter started')
    if (this.#statsd !== null) log.info({ server: this.#statsd.server }, 'StatsD exporter started')
  }

  /** The last values are sent, then all is closed. Calling it twice is fine. */
  async close(): Promise<void> {
    for (const fd of this.#waiting.keys()) closeSync(fd)
    this.#waiting.clear()
    await Promise.all([this.#api?.close(), this.#metrics?.close(), this.#statsd?.stop()])
  }
}

function isAt({ host, port }: HostPort, address: HttpAddress): boolean {
  return 'path' in address ? host === address.path : host === address.host && port === address.port
}
