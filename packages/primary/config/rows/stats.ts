import type { HttpAddress, StatsdTagFormat } from '#shared/config'
import type { HostPort } from '#shared/dc'

import { decodeNamedHostPort } from '../address.ts'
import { decodeHttpPath, decodeOneOf, decodePrometheusPrefix } from '../decoders.ts'
import { BOOLEAN, COUNT, hostPort, HTTP_ADDRESS, METRIC_PREFIX, plain } from '../formats.ts'
import type { Rows } from '../schema-row.ts'

export interface StatsValues {
  'stats.per-user-limit': number
  'stats.statsd.enabled': boolean
  'stats.statsd.address': HostPort
  'stats.statsd.metric-prefix': string
  'stats.statsd.tag-format': StatsdTagFormat
  'stats.prometheus.enabled': boolean
  'stats.prometheus.bind-to': HttpAddress
  'stats.prometheus.http-path': string
  'stats.prometheus.metric-prefix': string
}

export const STATS_ROWS: Rows<StatsValues> = {
  'stats.per-user-limit': {
    ...COUNT,
    default: 1000,
    reload: 'restart',
    help: 'Users whom the metrics show one by one; all others are summed as "other".',
  },
  'stats.statsd.enabled': {
    ...BOOLEAN,
    default: false,
    reload: 'restart',
    help: 'Send metrics to a StatsD server.',
  },
  'stats.statsd.address': {
    ...hostPort(decodeNamedHostPort),
    default: { host: '127.0.0.1', port: 8888 },
    reload: 'restart',
    zero: 'default',
    help: 'Where the StatsD server listens, by UDP.',
  },
  'stats.statsd.metric-prefix': {
    ...METRIC_PREFIX,
    default: 'mtg',
    reload: 'restart',
    zero: 'default',
    help: 'The first word of every metric name.',
  },
  'stats.statsd.tag-format': {
    ...plain(decodeOneOf(['datadog', 'influxdb', 'graphite'])),
    default: 'datadog',
    reload: 'restart',
    zero: 'default',
    help: 'How tags are written: "datadog", "influxdb" or "graphite".',
  },
  'stats.prometheus.enabled': {
    ...BOOLEAN,
    default: false,
    reload: 'restart',
    help: 'Serve metrics for Prometheus.',
  },
  'stats.prometheus.bind-to': {
    ...HTTP_ADDRESS,
    default: { host: '127.0.0.1', port: 3129 },
    reload: 'restart',
    zero: 'default',
    help: 'Where the metrics are served: an address, or unix:/path.',
  },
  'stats.prometheus.http-path': {
    ...plain(decodeHttpPath),
    default: '/',
    reload: 'restart',
    help: 'The path of the metrics.',
  },
  'stats.prometheus.metric-prefix': {
    ...plain(decodePrometheusPrefix),
    default: 'mtg',
    reload: 'restart',
    zero: 'default',
    help: 'The first word of every metric name.',
  },
}
