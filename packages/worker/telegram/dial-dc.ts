import { dcCandidates, DEFAULT_DC, type DcTable, type HostPort, type PreferIp } from '#shared/dc'
import type { AddressHealth } from '#shared/dial/address-health'
import { dialFirst } from '#shared/dial/dial'
import { DialError } from '#shared/errors'
import type { Clock } from '../clock.ts'
import type { ByteSocket } from '../socket/byte-socket.ts'

export interface DcDialer {
  readonly dcs: DcTable
  readonly preferIp: PreferIp
  readonly allowFallbackOnUnknownDc: boolean
  readonly timeoutMs: number
  readonly health: AddressHealth
  readonly clock: Clock
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<ByteSocket>
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
 * last, cancelled when the client leaves.
 * @throws DialError
 */
export async function dialDc(dc: number, dialer: DcDialer, signal: AbortSignal): Promise<DialledDc> {
  const { health, clock } = dialer
  turn += 1
  const candidates = dcCandidates(dialer.dcs, dc, dialer.preferIp, turn)
  if (candidates.length === 0) throw new DialError('no-addresses', `no addresses to call: DC ${dc}`)
  const { connection, address } = await dialFirst({
    addresses: health.sort(candidates, clock.monotonicMs),
    timeoutMs: dialer.timeoutMs,
    signal,
    connect: dialer.connect,
    discard: (late) => late.destroy(),
    onFailure: (failed) => health.reportFailure(failed, clock.monotonicMs),
  })
  health.reportSuccess(address)
  return { socket: connection, address, dc }
}
