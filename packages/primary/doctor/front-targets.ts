import type { ProxyConfig } from '#shared/config'

/** Where a stranger is sent who names this host. */
export interface FrontTarget {
  /** What the stranger's hello asks for: the host of a secret. */
  readonly serverName: string
  /** What is dialled for it: the same host, or `domain-fronting.host`. */
  readonly host: string
  readonly port: number
}

/** One target for each distinct host of all users, in their order. */
export function listFrontTargets(config: ProxyConfig): readonly FrontTarget[] {
  const { host, port } = config.domainFronting
  return listSecretHosts(config).map((serverName) => ({ serverName, host: host ?? serverName, port }))
}

/** Hosts are the same with another letter case or a trailing dot (decision W1). */
export function listSecretHosts(config: ProxyConfig): readonly string[] {
  const hosts = config.users.flatMap((user) => user.secrets.map((secret) => secret.host))
  return [...new Set(hosts.map((host) => host.replace(/\.$/, '').toLowerCase()))]
}
