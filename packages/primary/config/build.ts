import { availableParallelism } from 'node:os'

import type { ProxyConfig, UserConfig } from '#shared/config'
import { type DcTable, mergeDcTable } from '#shared/dc'
import type { ConfigProblem } from '#shared/errors'

import { type ConfigKey, type ConfigValues, MAX_WORKERS } from './schema.ts'

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

/** The config out of decoded values, or null with what is missing. */
export function buildConfig(
  values: ConfigValues,
  users: readonly UserConfig[],
  dcOverrides: DcTable,
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
    apiBindTo: values['api-bind-to'],
    concurrency: values.concurrency,
    preferIp: values['prefer-ip'],
    tolerateTimeSkewnessMs: values['tolerate-time-skewness'],
    allowFallbackOnUnknownDc: values['allow-fallback-on-unknown-dc'],
    publicIpv4: values['public-ipv4'],
    publicIpv6: values['public-ipv6'],
    shutdownTimeoutMs: values['shutdown-timeout'],
    domainFronting: {
      host: values['domain-fronting.host'],
      port: values['domain-fronting.port'],
      maxConnections: values['domain-fronting.max-connections'] || halve(values.concurrency),
    },
    network: {
      timeout: {
        tcpMs: values['network.timeout.tcp'],
        httpMs: values['network.timeout.http'],
        idleMs: values['network.timeout.idle'],
        handshakeMs: values['network.timeout.handshake'],
      },
    },
    defense: {
      antiReplay: {
        enabled: values['defense.anti-replay.enabled'],
        maxSizeBytes: values['defense.anti-replay.max-size'],
      },
    },
    stats: {
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
    },
    dcs: mergeDcTable(dcOverrides),
  }
  return { config, missing }
}

/** Half, so that strangers alone never fill the proxy (decision W16). */
function halve(concurrency: number): number {
  return Math.max(1, Math.floor(concurrency / 2))
}

function resolveWorkers(workers: number | 'auto'): number {
  return workers === 'auto' ? Math.min(availableParallelism(), MAX_WORKERS) : workers
}
