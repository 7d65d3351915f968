import type { Socket } from 'node:net'
import type { HostPort } from '#shared/dc'
import { dialFirst } from '#shared/dial/dial'
import { dialSocket } from '#shared/dial/dial-socket'
import { openSocket } from '#shared/dial/open-socket'
import { Resolver } from '#shared/dial/resolver'
import { buildRoute } from '#shared/dial/route'
import type { SiteRoute } from '#shared/front-probe'

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
