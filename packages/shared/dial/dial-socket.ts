import type { LookupFunction, Socket } from 'node:net'
import type { HostPort } from '../dc.ts'
import { dialThrough } from './dial-through.ts'
import { openThrough } from './open-through.ts'
import type { Route } from './route.ts'

export interface DialSocketOptions {
  readonly route: Route
  /** In the order to try. A proxy gets a name as it is. */
  readonly addresses: readonly HostPort[]
  /** For one attempt. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** For names that are dialled directly, those of proxies among them; absent: by the system. */
  readonly lookup?: LookupFunction
}

/**
 * A plain socket by a route: round robin, with fail-over, counted.
 * @throws DialError as `dialThrough`
 */
export async function dialSocket(options: DialSocketOptions): Promise<Socket> {
  const { lookup, ...dial } = options
  const { connection } = await dialThrough<Socket>({
    ...dial,
    health: null,
    open: (target, { proxy }, own) =>
      openThrough(proxy.kind === 'direct' ? null : proxy, target, own, lookup),
    discard: (late) => void late.destroy(),
  })
  return connection
}
