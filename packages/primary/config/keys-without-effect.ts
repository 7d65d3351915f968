/** A key of the reference that this version takes without doing anything. */
export interface KeyWithoutEffect {
  readonly key: string
  /** What to use instead, or why there is nothing to do. */
  readonly instead?: string
}

/**
 * Keys of the reference (operator.md §1.3) that are not in the schema. Configs that contain them go on working; each
 * is named at start, so that nobody relies on it. A key leaves this list when it enters the schema.
 */
export const KEYS_WITHOUT_EFFECT: readonly KeyWithoutEffect[] = [
  { key: 'proxy-protocol-listener' },
  { key: 'auto-update' },
  { key: 'domain-fronting-ip', instead: 'use domain-fronting.host' },
  { key: 'domain-fronting-port', instead: 'use domain-fronting.port' },
  { key: 'domain-fronting-proxy-protocol' },
  { key: 'domain-fronting.ip', instead: 'use domain-fronting.host' },
  { key: 'domain-fronting.proxy-protocol' },
  { key: 'throttle.max-connections' },
  { key: 'throttle.check-interval' },
  { key: 'network.dns' },
  { key: 'network.doh-ip' },
  { key: 'network.proxies' },
  { key: 'network.keep-alive.disabled' },
  { key: 'network.keep-alive.idle' },
  { key: 'network.keep-alive.interval' },
  { key: 'network.keep-alive.count' },
  { key: 'network.tcp-not-sent-lowat' },
  { key: 'defense.anti-replay.error-rate', instead: 'the replay set is exact' },
  { key: 'defense.blocklist.enabled' },
  { key: 'defense.blocklist.urls' },
  { key: 'defense.blocklist.download-concurrency' },
  { key: 'defense.blocklist.update-each' },
  { key: 'defense.allowlist.enabled' },
  { key: 'defense.allowlist.urls' },
  { key: 'defense.allowlist.download-concurrency' },
  { key: 'defense.allowlist.update-each' },
  { key: 'defense.doppelganger.urls' },
  { key: 'defense.doppelganger.repeats-per-raid' },
  { key: 'defense.doppelganger.raid-each' },
  { key: 'defense.doppelganger.drs' },
  { key: 'stats.statsd.enabled' },
  { key: 'stats.statsd.address' },
  { key: 'stats.statsd.metric-prefix' },
  { key: 'stats.statsd.tag-format' },
]
