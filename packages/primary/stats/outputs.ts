import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import type { HostPort } from '#shared/dc'
import type { HistogramSums } from '#shared/state/histogram'
import type { UpstreamSnapshot } from '#shared/dial/upstream-state'
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

  constructor(options: OutputsOptions) {
    this.#options = options
    this.#api = null
    this.#metrics = null
    this.#statsd = null
  }

  get apiAddress(): HostPort | null {
    return this.#api?.address ?? null
  }

  get metricsAddress(): HostPort | null {
    return this.#metrics?.address ?? null
  }

  /** @throws OperatorError when an address cannot be had */
  async start(): Promise<void> {
    const { config, allowedHosts, families, histograms, snapshot, ready, upstreams, log } = this.#options
    const { prometheus, statsd } = config.stats
    if (config.apiBindTo !== null) {
      this.#api = await startStatsApi({
        address: config.apiBindTo,
        pathPrefix: config.apiPathPrefix,
        version: programVersion(),
        snapshot,
        ready,
        upstreams,
        hosts: { allowed: allowedHosts, log },
        onError: (error) => log.error({ error: String(error) }, 'stats API server error'),
      })
    }
    if (prometheus.enabled) {
      this.#metrics = await startPrometheus({
        config: prometheus,
        families,
        histograms,
        version: programVersion(),
        hosts: { allowed: allowedHosts, log },
        onError: (error) => log.error({ error: String(error) }, 'Prometheus exporter error'),
      })
    }
    if (statsd.enabled) this.#statsd = startStatsd({ config: statsd, families, log })
  }

  logStart(): void {
    const { log } = this.#options
    if (this.#api !== null) log.info({ bind: this.#api.bind }, 'Stats API server started')
    if (this.#metrics !== null) log.info({ bind: this.#metrics.bind }, 'Prometheus exporter started')
    if (this.#statsd !== null) log.info({ server: this.#statsd.server }, 'StatsD exporter started')
  }

  /** The last values are sent, then all is closed. Calling it twice is fine. */
  async close(): Promise<void> {
    await Promise.all([this.#api?.close(), this.#metrics?.close(), this.#statsd?.stop()])
  }
}
