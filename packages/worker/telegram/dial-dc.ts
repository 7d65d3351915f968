import type { UpstreamProxy } from '#shared/config'
import { dcCandidates, DEFAULT_DC, type DcTable, type HostPort, type PreferIp } from '#shared/dc'
import type { AddressHealth } from '#shared/dial/address-health'
import { dialThrough } from '#shared/dial/dial-through'
import type { Route } from '#shared/dial/route'
import { DialError } from '#shared/errors'
import type { ByteSocket } from '../socket/byte-socket.ts'

export interface DcDialer {
  readonly dcs: DcTable
  /** What Telegram publishes, behind the table's own. */
  readonly published: DcTable
  readonly preferIp: PreferIp
  readonly allowFallbackOnUnknownDc: boolean
  readonly timeoutMs: number
  readonly health: AddressHealth
  /** The ways to a data centre, as the client signed it. */
  readonly routeTo: (dc: number) => Route
  readonly connect: (address: HostPort, proxy: UpstreamProxy, signal: AbortSignal) => Promise<ByteSocket>
}

export interface DialledDc {
  readonly socket: ByteSocket
  readonly address: HostPort
  /** What goes into our frame: as the client signed it, or the fallback. */
  readonly dc: number
}

/** The data centre that a request is for: the one asked, the default, or the allowed fallback; null for none. */
export function chooseDc(
  asked: number | null,
  dialer: Pick<DcDialer, 'dcs' | 'allowFallbackOnUnknownDc'>,
): number | null {
  const dc = asked ?? DEFAULT_DC
  if (dialer.dcs[Math.abs(dc)] !== undefined) return dc
  return dialer.allowFallbackOnUnknownDc ? DEFAULT_DC : null
}

let turn = 0

/**
 * Open a connection to a data centre (wire.md §6, decision W10): preferred family first, addresses that failed lately
 * last, by the ways that the configuration chooses; cancelled when the client leaves.
 * @throws DialError
 */
export async function dialDc(dc: number, dialer: DcDialer, signal: AbortSignal): Promise<DialledDc> {
  turn += 1
  const candidates = dcCandidates(dialer.dcs, dc, dialer.preferIp, turn, dialer.published)
  if (candidates.length === 0) throw new DialError('no-addresses', `no addresses to call: DC ${dc}`)
  const { connection, address } = await dialThrough({
    route: dialer.routeTo(dc),
    addresses: candidates,
    timeoutMs: dialer.timeoutMs,
    signal,
    health: dialer.health,
    open: (target, { proxy }, own) => dialer.connect(target, proxy, own),
    discard: (late) => late.destroy(),
  })
  return { socket: connection, address, dc }
}
