/**
 * What all threads know of the ways to Telegram: a slot for each, in shared memory. The primary hands the slots out,
 * threads look theirs up by the proxy's key.
 *
 *   Int64 cells, per slot   | breaker | dials | failures | turn | pad to two cache lines |
 */
import type { DcRoutes, ProxyConfig, UpstreamProxy } from '../config.ts'
import { formatHostPort } from '../dc.ts'
import { OperatorError } from '../errors.ts'
import { CircuitBreaker, type BreakerSnapshot } from './circuit-breaker.ts'

/** Ways at once, over all lists of the configuration. */
export const MAX_UPSTREAMS = 64
/** Proxies among them: the rest is the direct way. */
export const MAX_PROXIES: number = MAX_UPSTREAMS - 1
/** 128 bytes: two cache lines, which the prefetcher loads as one. */
const SLOT_CELLS = 16
const BREAKER = 0
const DIALS = 1
const FAILURES = 2
const TURN = 3
/** The direct way. It has no breaker: there is nothing to spare. */
const DIRECT_SLOT = 0

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface UpstreamMemory {
  readonly buffer: SharedArrayBuffer
}

/** Slots by the keys of the proxies. */
export type UpstreamSlots = ReadonlyMap<string, number>

export interface UpstreamSnapshot extends BreakerSnapshot {
  /** `host:port`, or `direct`; never a credential. Two accounts at one server are told apart by a `#2`. */
  readonly upstream: string
  /** Since the start of the process. */
  readonly dials: number
  readonly failedDials: number
}

function createUpstreamMemory(): UpstreamMemory {
  return { buffer: new SharedArrayBuffer(MAX_UPSTREAMS * SLOT_CELLS * BigInt64Array.BYTES_PER_ELEMENT) }
}

/** Where two accounts at one server are two ways. Holds the password: not to be shown. */
export function upstreamKey(proxy: UpstreamProxy): string {
  if (proxy.kind === 'direct') return 'direct'
  return JSON.stringify([proxy.host, proxy.port, proxy.username, proxy.password])
}

/** How a way is called in logs and metrics. */
export function nameUpstream(proxy: UpstreamProxy): string {
  return proxy.kind === 'direct' ? 'direct' : formatHostPort(proxy)
}

/** What one thread sees of one slot. */
export class UpstreamState {
  readonly breaker: CircuitBreaker | null
  readonly #cells: BigInt64Array
  readonly #start: number

  constructor(memory: UpstreamMemory, slot: number, proxy: UpstreamProxy) {
    this.#cells = new BigInt64Array(memory.buffer)
    this.#start = slot * SLOT_CELLS
    this.breaker =
      proxy.kind === 'direct' ? null : new CircuitBreaker(this.#cells, this.#start + BREAKER, proxy)
  }

  countDial(): void {
    Atomics.add(this.#cells, this.#start + DIALS, 1n)
  }

  countFailure(): void {
    Atomics.add(this.#cells, this.#start + FAILURES, 1n)
  }

  /** Numbers that rise by one over all threads. */
  nextTurn(): number {
    return Number(Atomics.add(this.#cells, this.#start + TURN, 1n))
  }

  read(nowMs: number): BreakerSnapshot & { readonly dials: number; readonly failedDials: number } {
    const load = (cell: number): number => Number(Atomics.load(this.#cells, this.#start + cell))
    const breaker = this.breaker?.read(nowMs) ?? { state: 'closed', failures: 0, retryInMs: 0 }
    return { ...breaker, dials: load(DIALS), failedDials: load(FAILURES) }
  }

  clear(): void {
    for (let cell = 0; cell < SLOT_CELLS; cell++) Atomics.store(this.#cells, this.#start + cell, 0n)
  }
}

/** The primary's side: which slot is whose. */
export class UpstreamRegistry {
  readonly memory: UpstreamMemory
  readonly #slots: Map<string, number>
  /** The one that has been free for the longest comes first, so that a dial that is under way meets nobody else's. */
  readonly #free: number[]
  #proxies: readonly UpstreamProxy[]

  constructor() {
    this.memory = createUpstreamMemory()
    this.#slots = new Map([[upstreamKey({ kind: 'direct' }), DIRECT_SLOT]])
    this.#free = Array.from({ length: MAX_UPSTREAMS - 1 }, (_, at) => at + 1)
    this.#proxies = []
  }

  get slots(): UpstreamSlots {
    return this.#slots
  }

  /**
   * Ways that stay keep their slots, new ones begin at zero.
   * @throws OperatorError when there are more than `MAX_UPSTREAMS`; nothing has changed then
   */
  setConfig({ network, dcRoutes }: Pick<ProxyConfig, 'network' | 'dcRoutes'>): void {
    const proxies = listUpstreams(network.proxies, dcRoutes)
    const wanted = new Set(proxies.map(upstreamKey))
    wanted.delete(upstreamKey({ kind: 'direct' }))
    if (wanted.size > MAX_PROXIES)
      throw new OperatorError(`too many upstream proxies: at most ${MAX_PROXIES} are possible`)
    for (const [key, slot] of this.#slots) {
      if (slot === DIRECT_SLOT || wanted.has(key)) continue
      this.#slots.delete(key)
      this.#free.push(slot)
    }
    for (const proxy of proxies) {
      const key = upstreamKey(proxy)
      if (this.#slots.has(key)) continue
      const slot = this.#free.shift() ?? DIRECT_SLOT // there are enough, see above
      new UpstreamState(this.memory, slot, proxy).clear()
      this.#slots.set(key, slot)
    }
    this.#proxies = proxies
  }

  /** The configured ways in their order; none when everything goes directly. */
  list(nowMs: number): readonly UpstreamSnapshot[] {
    const seen = new Map<string, number>()
    return this.#proxies.map((proxy) => {
      const name = nameUpstream(proxy)
      const count = (seen.get(name) ?? 0) + 1
      seen.set(name, count)
      const slot = this.#slots.get(upstreamKey(proxy)) ?? DIRECT_SLOT
      const state = new UpstreamState(this.memory, slot, proxy)
      return { upstream: count === 1 ? name : `${name}#${count}`, ...state.read(nowMs) }
    })
  }
}

/** Different proxies of all lists, the direct way aside. */
export function countUpstreams(proxies: readonly UpstreamProxy[], dcRoutes: DcRoutes): number {
  return listUpstreams(proxies, dcRoutes).filter(({ kind }) => kind !== 'direct').length
}

/** Each way once. */
function listUpstreams(proxies: readonly UpstreamProxy[], dcRoutes: DcRoutes): UpstreamProxy[] {
  const all = [...proxies, ...Object.values(dcRoutes).flat()]
  return [...new Map(all.map((proxy) => [upstreamKey(proxy), proxy])).values()]
}
