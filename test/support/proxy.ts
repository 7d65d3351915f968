import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CipherChoice, IpListConfig, ProxyConfig } from '#shared/config'
import { mergeDcTable, type DcTable, type HostPort } from '#shared/dc'
import { parseSecret } from '#shared/secret'
import { startProxy, type RunningProxy } from '#primary/proxy'
import { ask } from '../primary/stats/http.ts'
import type { PublishedUrls } from '#primary/telegram/dc-updater'

export interface TestProxyOptions {
  /** Name → secret in hex or base64. */
  users: Record<string, string>
  dcs: DcTable
  workers?: number
  fastMode?: boolean
  cipher?: CipherChoice
  fronting?: { host: string; port: number }
  /** Anything else of the configuration; of a section, what differs. */
  config?: ConfigOverrides
  /** Default debug; a storm has no use for a line per connection. */
  logLevel?: 'debug' | 'info'
  /** Where copies of IP lists are kept, for tests of a restart. Default: they go with the proxy. */
  cacheDirectory?: string
  /** Module of the worker threads, for tests that put faults into them. */
  workerEntry?: string
  /** After how much silence a thread is replaced. */
  hangLimitMs?: number
  /** How large the heap of a thread may become. */
  maxHeapMb?: number
  publishedUrls?: PublishedUrls
}

/** Keys of a section that are left out keep their defaults. */
export type ConfigOverrides = {
  readonly [K in keyof ProxyConfig]?: ProxyConfig[K] extends readonly unknown[] | string | null
    ? ProxyConfig[K]
    : Partial<ProxyConfig[K]>
}

/** The JSON of `GET /stats`. */
export interface StatsJson {
  started_at: string
  uptime_seconds: number
  total_connections: number
  throttle?: { active: boolean; limit: number; caps?: Record<string, number> }
  users: Record<
    string,
    { connections: number; bytes_in: number; bytes_out: number; last_seen: string | null }
  >
}

export interface TestProxy {
  port: number
  running: RunningProxy
  /** What it was started with. */
  config: ProxyConfig
  /** Stopped, killed or failed. */
  readonly hasEnded: boolean
  stats(): Promise<StatsJson>
  metrics(): Promise<string>
  /** Resolves when `/stats` satisfies the condition; rejects after 10 s. */
  statsWhen(condition: (stats: StatsJson) => boolean): Promise<StatsJson>
  logText(): string
  logLines(): Record<string, unknown>[]
  /** As SIGHUP does, with these values in the file. */
  reload(overrides: ConfigOverrides): Promise<void>
  stop(): Promise<void>
}

const LIVENESS_LIMIT_MS = 10_000

/** The configuration that `startTestProxy` begins with. */
export function buildTestConfig(options: TestProxyOptions): ProxyConfig {
  return override(defaultConfig(options), options.config ?? {})
}

/** The whole program in this process, on ports of its own, logging to a file. */
export async function startTestProxy(options: TestProxyOptions): Promise<TestProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'mtg-multi-test-'))
  const logFile = join(folder, 'log')
  let config = buildTestConfig(options)
  const running = await startProxy(config, {
    log: { level: options.logLevel ?? 'debug', destination: logFile, pretty: false },
    cacheDirectories: [options.cacheDirectory ?? join(folder, 'cache')],
    ...(options.workerEntry === undefined ? {} : { workerEntry: options.workerEntry }),
    ...(options.hangLimitMs === undefined ? {} : { hangLimitMs: options.hangLimitMs }),
    ...(options.maxHeapMb === undefined ? {} : { maxHeapMb: options.maxHeapMb }),
    ...(options.publishedUrls === undefined ? {} : { publishedUrls: options.publishedUrls }),
  })
  const { apiAddress, metricsAddress } = running
  let hasEnded = false
  const end = (): void => {
    hasEnded = true
  }
  running.finished.then(end, end)

  const stats = async (): Promise<StatsJson> => {
    if (apiAddress === null) throw new Error('this proxy has no stats API')
    // A UNIX socket has no port.
    const { host, port } = apiAddress
    const { body } = await ask(port === 0 ? { socketPath: host } : { host: '127.0.0.1', port }, '/stats')
    return JSON.parse(body) as StatsJson
  }
  const logText = (): string => readFileSync(logFile, 'utf8')
  return {
    port: running.listening[0]!.port,
    running,
    config,
    get hasEnded() {
      return hasEnded
    },
    stats,
    metrics: async () => (await fetch(`http://127.0.0.1:${metricsAddress?.port}/`)).text(),
    statsWhen: async (condition) => {
      const giveUpMs = Date.now() + LIVENESS_LIMIT_MS
      for (;;) {
        const now = await stats()
        if (condition(now)) return now
        if (Date.now() > giveUpMs) throw new Error(`stats never came to be: ${JSON.stringify(now)}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    logText,
    logLines: () =>
      logText()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    reload: (overrides) => {
      config = override(config, overrides)
      return running.reload(config)
    },
    stop: async () => {
      await running.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Sections are merged, everything else is replaced; the table of data centres is no section. */
function override(config: ProxyConfig, overrides: ConfigOverrides): ProxyConfig {
  const { domainFronting, throttle, network, defense, stats, performance, ...values } = overrides
  return {
    ...config,
    ...(values as Partial<ProxyConfig>), // what is left has no sections
    domainFronting: { ...config.domainFronting, ...domainFronting },
    throttle: { ...config.throttle, ...throttle },
    network: { ...config.network, ...network },
    defense: { ...config.defense, ...defense },
    stats: { ...config.stats, ...stats },
    performance: { ...config.performance, ...performance },
  }
}

export function defaultConfig(options: TestProxyOptions): ProxyConfig {
  const loopback: HostPort = { host: '127.0.0.1', port: 0 }
  const noIpList: IpListConfig = {
    enabled: false,
    sources: [],
    downloadConcurrency: 2,
    updateEachMs: 86_400_000,
    action: 'close',
  }
  return {
    debug: true,
    users: Object.entries(options.users).map(([name, text]) => {
      const parsed = parseSecret(text)
      if (!parsed.ok) throw new Error(`${name}: ${parsed.code}`)
      return { name, secrets: [parsed.secret], quota: null, overLimit: 'close' }
    }),
    bindTo: [loopback],
    listenBacklog: 4096,
    reusePort: false,
    proxyProtocolListener: false,
    proxyProtocolTrusted: ['0.0.0.0/0', '::/0'],
    apiBindTo: loopback,
    apiToken: null,
    apiAllowedHosts: [],
    apiPathPrefix: '',
    stateFile: null,
    concurrency: 8192,
    preferIp: 'prefer-ipv4',
    tolerateTimeSkewnessMs: 5000,
    allowFallbackOnUnknownDc: false,
    publicIpv4: null,
    publicIpv6: null,
    autoUpdate: false,
    shutdownTimeoutMs: 5000,
    throttle: { maxConnections: 0, checkIntervalMs: 5000, action: 'close' },
    domainFronting: {
      host: options.fronting?.host ?? '127.0.0.1',
      port: options.fronting?.port ?? 9,
      maxConnections: 4096,
      proxyProtocol: false,
      viaProxies: false,
    },
    network: {
      dns: { kind: 'system' },
      proxies: [],
      timeout: { tcpMs: 5000, httpMs: 10_000, idleMs: 300_000, handshakeMs: 10_000 },
      keepAlive: { enabled: true, idleMs: 15_000, intervalMs: 15_000, count: 9 },
      tcpNotSentLowatBytes: 131_072,
    },
    defense: {
      maxHandshakes: 2048,
      // The clients of tests have one address.
      maxHandshakesPerAddress: 0,
      antiReplay: { enabled: true, maxSizeBytes: 16 * 1024 * 1024 },
      blocklist: noIpList,
      allowlist: noIpList,
      doppelganger: {
        urls: [],
        repeatsPerRaid: 10,
        raidEachMs: 21_600_000,
        drs: false,
        pacing: 'burst',
        // The sites of tests count their connections; those that are about this turn it on.
        learnFront: false,
      },
    },
    stats: {
      perUserLimit: 1000,
      statsd: {
        enabled: false,
        address: { host: '127.0.0.1', port: 8888 },
        metricPrefix: 'mtg',
        tagFormat: 'datadog',
      },
      prometheus: { enabled: true, bindTo: loopback, httpPath: '/', metricPrefix: 'mtg' },
    },
    performance: {
      workers: options.workers ?? 1,
      fastMode: options.fastMode ?? true,
      cipher: options.cipher ?? 'auto',
    },
    dcs: mergeDcTable(options.dcs),
    dcRoutes: {},
  }
}
