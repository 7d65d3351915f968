import type { Socket } from 'node:net'
import type { DnsConfig, UpstreamProxy } from '../config.ts'
import type { HostPort } from '../dc.ts'
import { dialFirst } from './dial.ts'
import { dialSocket } from './dial-socket.ts'
import { openSocket } from './open-socket.ts'
import { Resolver } from './resolver.ts'
import { buildRoute } from './route.ts'
import type { UpstreamMemory, UpstreamSlots } from './upstream-state.ts'

/** The proxies on the way to the site, as they cross to a thread: the memory is shared, the rest copied. */
export interface SiteRoute {
  readonly proxies: readonly UpstreamProxy[]
  readonly memory: UpstreamMemory
  readonly slots: UpstreamSlots
  /** Who knows the proxies' own names. */
  readonly dns: DnsConfig
}

export interface DialSiteOptions {
  /** In the order to try. */
  readonly addresses: readonly HostPort[]
  /** null: directly. */
  readonly route: SiteRoute | null
  /** For one attempt. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * A connection to a site, by the way that fronted strangers take to it.
 * @throws DialError
 */
export async function dialSite({ addresses, route, timeoutMs, signal }: DialSiteOptions): Promise<Socket> {
  if (route === null) {
    const discard = (late: Socket): void => void late.destroy()
    return (await dialFirst({ addresses, timeoutMs, signal, connect: openSocket, discard })).connection
  }
  const { proxies, memory, slots, dns } = route
  // It opens nothing unless a proxy is given by name.
  const resolver = new Resolver(dns)
  try {
    const { lookup } = resolver
    return await dialSocket({
      route: buildRoute(proxies, memory, slots),
      addresses,
      timeoutMs,
      signal,
      lookup,
    })
  } finally {
    resolver.close()
  }
}
