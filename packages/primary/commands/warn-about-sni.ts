import { normalizeIp } from '#primary/config/address'
import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import { type HostResolver, Resolver } from '#shared/dial/resolver'

/**
 * Say in the log when a secret's host does not belong to our public address, which is what censors look for
 * (operator.md §10.2). In the background of the start, for every host, and only where the configuration names our
 * address: whoever wants it detected asks `doctor`.
 */
export async function warnAboutSni(
  config: ProxyConfig,
  log: Logger,
  resolver: HostResolver = new Resolver(config.network.dns),
): Promise<void> {
  const { publicIpv4, publicIpv6 } = config
  if (publicIpv4 === null && publicIpv6 === null) return
  const hosts = new Set(config.users.flatMap((user) => user.secrets.map((secret) => secret.host)))
  await Promise.all([...hosts].map((host) => compare(host, config, log, resolver)))
}

async function compare(
  hostname: string,
  config: ProxyConfig,
  log: Logger,
  resolver: HostResolver,
): Promise<void> {
  const { publicIpv4, publicIpv6 } = config
  let resolved: readonly string[]
  try {
    resolved = await resolver.resolve(hostname)
  } catch (error) {
    log.warn({ hostname, error }, 'SNI-DNS check: cannot resolve secret hostname')
    return
  }
  const addresses = new Set(resolved.map(normalizeIp))
  const matches = (ip: string | null): boolean => ip === null || addresses.has(normalizeIp(ip))
  if (matches(publicIpv4) && matches(publicIpv6)) return
  log.warn(
    {
      hostname,
      resolved: resolved.join(', '),
      public_ip: `${publicIpv4 ?? ''}/${publicIpv6 ?? ''}`,
      ipv4_match: String(publicIpv4 !== null && matches(publicIpv4)),
      ipv6_match: String(publicIpv6 !== null && matches(publicIpv6)),
    },
    'SNI-DNS mismatch',
  )
}
