import type { Logger } from 'pino'
import type { RefuseAction } from './config.ts'
import { IpRanges } from './ip-ranges.ts'
import type { CounterRow } from './state/counters.ts'
import { slot } from './state/layout.ts'

/** A list that holds now. */
export interface IpListInForce {
  /** For `IpRanges`: never written again, a new list is new memory. */
  readonly ranges: SharedArrayBuffer
  /** What becomes of whom it refuses. */
  readonly action: RefuseAction
}

/** Both lists, null for one that is disabled. Plain data that crosses to the worker threads, the memories shared. */
export interface IpFilterValues {
  /** Disabled: everybody is let in. */
  readonly allowlist: IpListInForce | null
  /** Disabled: nobody is refused. */
  readonly blocklist: IpListInForce | null
}

export type IpVerdict = 'allowed' | 'blocklisted' | 'not-allowlisted'
type IpRefusal = Exclude<IpVerdict, 'allowed'>

/** How a refusal is counted and logged (operator.md §5, §7.1). */
const REFUSALS: Readonly<Record<IpRefusal, { readonly counter: number; readonly message: string }>> = {
  blocklisted: { counter: slot('ip_blocklisted', { ip_list: 'blocklist' }), message: 'ip was blacklisted' },
  'not-allowlisted': {
    counter: slot('ip_blocklisted', { ip_list: 'allowlist' }),
    message: 'ip was rejected by allowlist',
  },
}

interface OpenList {
  readonly ranges: IpRanges
  readonly action: RefuseAction
}

/**
 * Who may connect by address, in any thread: the primary asks about accepted sockets, a worker about addresses that it
 * has read from a PROXY header.
 */
export class IpFilter {
  #allowlist: OpenList | null
  #blocklist: OpenList | null

  constructor(values: IpFilterValues) {
    this.#allowlist = open(values.allowlist)
    this.#blocklist = open(values.blocklist)
  }

  /** From now on. */
  set(values: IpFilterValues): void {
    this.#allowlist = open(values.allowlist)
    this.#blocklist = open(values.blocklist)
  }

  /** The allowlist first, as the reference (wire.md §11.1). @param address an IP literal */
  check(address: string): IpVerdict {
    if (this.#allowlist !== null && !this.#allowlist.ranges.has(address)) return 'not-allowlisted'
    if (this.#blocklist !== null && this.#blocklist.ranges.has(address)) return 'blocklisted'
    return 'allowed'
  }

  /**
   * Check, and count and log a refusal.
   * @returns what becomes of the peer, or null if it may go on
   */
  refuse(address: string, counters: CounterRow, log: Logger): RefuseAction | null {
    const verdict = this.check(address)
    if (verdict === 'allowed') return null
    const { counter, message } = REFUSALS[verdict]
    counters.add(counter, 1)
    log.debug({ ip: address }, message)
    const list = verdict === 'blocklisted' ? this.#blocklist : this.#allowlist
    return list?.action ?? 'close'
  }
}

function open(list: IpListInForce | null): OpenList | null {
  return list === null ? null : { ranges: new IpRanges(list.ranges), action: list.action }
}
