import type { HostPort } from '#shared/dc'
import { dialFirst } from '#shared/dial/dial'
import type { Resolver } from '#shared/dial/resolver'
import { DialError } from '#shared/errors'
import { formatHostPort } from '#shared/dc'
import type { LoopGuard } from '#shared/loop-guard'
import type { Clock } from '../clock.ts'
import type { ByteSocket } from '../socket/byte-socket.ts'

export interface FrontDialer {
  readonly resolver: Resolver
  readonly guard: LoopGuard
  readonly clock: Clock
  readonly timeoutMs: number
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<ByteSocket>
}

/**
 * Open a connection to the site that stands in for us, directly, whatever proxies are configured (wire.md §7).
 * @throws DialError `loop` when the site's name leads back to us, else as `dialFirst`
 */
export async function dialFront(
  host: string,
  port: number,
  dialer: FrontDialer,
  signal: AbortSignal,
): Promise<ByteSocket> {
  const resolved = await dialer.resolver.resolveWithin(host, dialer.timeoutMs, signal)
  const addresses = resolved.map((address) => ({ host: address, port }))
  for (const address of addresses) {
    if (dialer.guard.isOurs(address, dialer.clock.monotonicMs)) {
      throw new DialError('loop', `${host}: ${formatHostPort(address)} is this proxy itself`)
    }
  }
  const { connection } = await dialFirst({
    addresses,
    timeoutMs: dialer.timeoutMs,
    signal,
    connect: dialer.connect,
    discard: (late) => late.destroy(),
  })
  return connection
}
