import type { LookupFunction, Socket } from 'node:net'
import type { HostPort } from '#shared/dc'
import { dialSocket } from '#shared/dial/dial-socket'
import type { Route } from '#shared/dial/route'

/** Opens a connection for `httpGet`. The host may be a name. */
export type HttpDial = (address: HostPort, signal: AbortSignal) => Promise<Socket>

/**
 * Dial by a route.
 * @param timeoutMs for one attempt
 * @param lookup for names that are dialled directly, those of proxies among them; absent: by the system
 */
export function createHttpDial(route: Route, timeoutMs: number, lookup?: LookupFunction): HttpDial {
  return (address, signal) =>
    dialSocket({
      route,
      addresses: [address],
      timeoutMs,
      signal,
      ...(lookup === undefined ? {} : { lookup }),
    })
}
