import type { LookupFunction, Socket } from 'node:net'
import type { HostPort } from '#shared/dc'
import { dialThrough } from '#shared/dial/dial-through'
import { openThrough } from '#shared/dial/open-through'
import type { Route } from '#shared/dial/route'

/** Opens a connection for `httpGet`. The host may be a name. */
export type HttpDial = (address: HostPort, signal: AbortSignal) => Promise<Socket>

/**
 * Dial by a route: round robin, with fail-over, counted. A proxy gets the name as it is.
 * @param timeoutMs for one attempt
 * @param lookup for names that are dialled directly, those of proxies among them; absent: by the system
 */
export function createHttpDial(route: Route, timeoutMs: number, lookup?: LookupFunction): HttpDial {
  return async (address, signal) => {
    const { connection } = await dialThrough({
      route,
      addresses: [address],
      timeoutMs,
      signal,
      health: null,
      open: (target, { proxy }, own) =>
        openThrough(proxy.kind === 'direct' ? null : proxy, target, own, lookup),
      discard: (late) => late.destroy(),
    })
    return connection
  }
}
