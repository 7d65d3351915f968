import type { UpstreamProxy } from '#shared/config'
import type { HostPort } from '#shared/dc'
import type { Dialled } from '#shared/dial/dial'
import { dialThrough } from '#shared/dial/dial-through'
import type { Route } from '#shared/dial/route'
import type { HostResolver } from '#shared/dial/resolver'
import { DialError } from '#shared/errors'
import { formatHostPort } from '#shared/dc'
import type { LoopGuard } from '#shared/loop-guard'
import type { Clock } from '../clock.ts'
import type { ByteSocket } from '../socket/byte-socket.ts'

export interface FrontDialer {
  readonly resolver: HostResolver
  readonly guard: LoopGuard
  readonly clock: Clock
  readonly timeoutMs: number
  /** Directly, unless `[domain-fronting] via-proxies` says otherwise. */
  readonly route: Route
  readonly connect: (address: HostPort, proxy: UpstreamProxy, signal: AbortSignal) => Promise<ByteSocket>
}

/**
 * Open a connection to the site that stands in for us (wire.md §7). Its name is resolved here whatever the way is, for the
 * loop guard to see where it leads.
 * @throws DialError `loop` when the site's name leads back to us, else as `dialThrough`
 */
export async function dialFront(
  host: string,
  port: number,
  dialer: FrontDialer,
  signal: AbortSignal,
): Promise<Dialled<ByteSocket>> {
  const resolved = await dialer.resolver.resolveWithin(host, dialer.timeoutMs, signal)
  const addresses = resolved.map((address) => ({ host: address, port }))
  for (const address of addresses) {
    if (dialer.guard.isOurs(address, dialer.clock.monotonicMs)) {
      throw new DialError('loop', `${host}: ${formatHostPort(address)} is this proxy itself`)
    }
  }
  const { connection, address } = await dialThrough({
    route: dialer.route,
    addresses,
    timeoutMs: dialer.timeoutMs,
    signal,
    health: null,
    open: (target, { proxy }, own) => dialer.connect(target, proxy, own),
    discard: (late) => late.destroy(),
  })
  return { connection, address: { host: address.host, port: address.port } }
}
