import { availableParallelism } from 'node:os'

import type { IpListConfig, ProxyConfig, UserConfig } from '#shared/config'
import { mergeDcTable } from '#shared/dc'
import type { ConfigProblem } from '#shared/errors'

import { MAX_WORKERS } from './rows/performance.ts'
import type { ConfigKey, ConfigValues } from './schema.ts'

/** Something without which there is no config, and the keys that would give it. */
export interface MissingKey {
  readonly keys: readonly ConfigKey[]
  readonly problem: ConfigProblem
}

const BIND_TO_MISSING: MissingKey = {
  keys: ['bind-to'],
  problem: { path: 'bind-to', expected: 'required: an address to listen on, such as "0.0.0.0:3128"' },
}
const SECRET_MISSING: MissingKey = {
  keys: ['secret', 'secrets'],
  problem: {
    path: 'secret',
    expected:
      'required: a secret here, or users under [secrets]; make one with: mtg-multi generate-secret <hostname>',
  },
}

/** The config out of the values of all keys, or null with what is missing. */
export function buildConfig(
  values: ConfigValues,
  users: readonly UserConfig[],
): { config: ProxyConfig | null; missing: readonly MissingKey[] } {
  const bindTo = values['bind-to']
  const missing: MissingKey[] = []
  if (bindTo === null) missing.push(BIND_TO_MISSING)
  if (users.length === 0) missing.push(SECRET_MISSING)
  if (bindTo === null || users.length === 0) return { config: null, missing }
  const config: ProxyConfig = {
    debug: values.debug,
    users,
    bindTo,
    listenBacklog: values['listen-backlog'],
    reusePort: values['reuse-port'],
    proxyProtocolListener: values['proxy-protocol-listener'],
    proxyProtocolTrusted: values['proxy-protocol-trusted'],
    apiBindTo: values['api-bind-to'],
    apiToken: values['api-token'],
    apiAllowedHosts: values['api-allowed-hosts'],
    apiPathPrefix: values['api-path-prefix'],
    stateFile: values['state-file'],
    concurrency: values.concurrency,
    preferIp: values['prefer-ip'],
    tolerateTimeSkewnessMs: values['tolerate-time-skewness'],
    allowFallbackOnUnknownDc: values['allow-fallback-on-unknown-dc'],
    publicIpv4: values['public-ipv4'],
    publicIpv6: values['public-ipv6'],
    autoUpdate: values['auto-update'],
    shutdownTimeoutMs: values['shutdown-timeout'],
    throttle: {
      maxConnections: values['throttle.max-connections'],
      checkIntervalMs: values['throttle.check-interval'],
      action: values['throttle.action'],
    },
    domainFronting: {
      host: values['domain-fronting.host'],
      port: values['domain-fronting.port'],
      maxConnections: values['domain-fronting.max-connections'] || halve(values.concurrency),
      proxyProtocol: values['domain-fronting.proxy-protocol'],
      viaProxies: values['domain-fronting.via-proxies'],
    },
    network: {
      dns: values['network.dns'],
      proxies: values['network.proxies'],
      timeout: {
        tcpMs: values['network.timeout.tcp'],
        httpMs: values['network.timeout.http'],
        idleMs: values['network.timeout.idle'],
        handshakeMs: values['network.timeout.handshake'],
      },
      keepAlive: {
        enabled: !values['network.keep-alive.disabled'],
        idleMs: values['network.keep-alive.idle'],
        intervalMs: values['network.keep-alive.interval'],
        count: values['network.keep-alive.count'],
      },
      tcpNotSentLowatBytes: values['network.tcp-not-sent-lowat'],
    },
    defense: {
      maxHandshakes: share(values['defense.max-handshakes'], values.concurrency, 4),
      maxHandshakesPerAddress: share(values['defense.max-handshakes-per-address'], values.concurrency, 16),
      antiReplay: {
        enabled: values['defense.anti-replay.enabled'],
        maxSizeBytes: values['defense.anti-replay.max-size'],
      },
      blocklist: buildIpList(values, 'blocklist'),
      allowlist: buildIpList(values, 'allowlist'),
      doppelganger: {
        urls: values['defense.doppelganger.urls'],
        repeatsPerRaid: values['defense.doppelganger.repeats-per-raid'],
        raidEachMs: values['defense.doppelganger.raid-each'],
        drs: values['defense.doppelganger.drs'],
        pacing: values['defense.doppelganger.pacing'],
        learnFront: values['defense.doppelganger.learn-front'],
      },
    },
    stats: {
      perUserLimit: values['stats.per-user-limit'],
      statsd: {
        enabled: values['stats.statsd.enabled'],
        address: values['stats.statsd.address'],
        metricPrefix: values['stats.statsd.metric-prefix'],
        tagFormat: values['stats.statsd.tag-format'],
      },
      prometheus: {
        enabled: values['stats.prometheus.enabled'],
        bindTo: values['stats.prometheus.bind-to'],
        httpPath: values['stats.prometheus.http-path'],
        metricPrefix: values['stats.prometheus.metric-prefix'],
      },
    },
    performance: {
      workers: resolveWorkers(values['performance.workers']),
      fastMode: values['performance.fast-mode'],
      cipher: values['performance.cipher'],
    },
    dcs: mergeDcTable(values.dc),
    dcRoutes: values['dc-routes'],
  }
  return { config, missing }
}

function buildIpList(values: ConfigValues, name: 'blocklist' | 'allowlist'): IpListConfig {
  return {
    enabled: values[`defense.${name}.enabled`],
    sources: values[`defense.${name}.urls`],
    downloadConcurrency: values[`defense.${name}.download-concurrency`],
    updateEachMs: values[`defense.${name}.update-each`],
    action: values[`defense.${name}.action`],
  }
}

/** Half, so that strangers alone never fill the proxy (decision W16). */
function halve(concurrency: number): number {
  return Math.max(1, Math.floor(concurrency / 2))
}

/** Fewer would refuse a few phones that come back at the same moment, with eight connections each. */
const MIN_AUTO_HANDSHAKES = 64

/** "auto" is a part of concurrency. */
function share(limit: number | 'auto', concurrency: number, parts: number): number {
  return limit === 'auto' ? Math.max(MIN_AUTO_HANDSHAKES, Math.floor(concurrency / parts)) : limit
}

function resolveWorkers(workers: number | 'auto'): number {
  return workers === 'auto' ? Math.min(availableParallelism(), MAX_WORKERS) : workers
}
