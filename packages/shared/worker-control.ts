import type { ProxyConfig, RefuseAction } from './config.ts'
import type { IpFilterValues } from './ip-filter.ts'
import type { DcAddress, DcTable, HostPort } from './dc.ts'
import type { HealthMemory } from './dial/address-health.ts'
import type { UpstreamMemory, UpstreamSlots } from './dial/upstream-state.ts'
import type { CountersMemory } from './state/counters.ts'
import type { HandshakesMemory } from './state/handshakes.ts'
import type { HistogramMemory } from './state/histogram.ts'
import type { ReplayMemory } from './state/replay-set.ts'
import type { LedgerMemory } from './state/ledger-memory.ts'
import type { TrafficProfile } from './traffic-profile.ts'

/** A user as the worker threads know it: who, which ledger slot, which keys. */
export interface UserEntry {
  readonly name: string
  readonly slot: number
  /** Slots are used again; the generation tells this user from the one before. */
  readonly generation: number
  readonly secrets: readonly { readonly key: Uint8Array; readonly host: string }[]
  /** What a connection gets that the user's own limits refuse; by default `close`. */
  readonly overLimit?: RefuseAction
}

/** Everything a worker thread begins with. Crosses by structured cloning; the memories are shared. */
export interface WorkerBoot {
  readonly thread: number
  readonly config: ProxyConfig
  readonly users: readonly UserEntry[]
  /** Where we listen, for the loop guard of domain fronting (decision W16). */
  readonly listening: readonly HostPort[]
  /** On which addresses the thread accepts by itself (`reuse-port`); null: the primary does. */
  readonly accept: AcceptBoot | null
  /** Unix time of the process start: hellos from before it cannot be checked for replays (decision W3). */
  readonly startedAtMs: number
  readonly counters: CountersMemory
  readonly histograms: HistogramMemory
  readonly ledger: LedgerMemory
  readonly replay: ReplayMemory | null
  readonly handshakes: HandshakesMemory
  readonly ipFilter: IpFilterValues
  readonly upstreams: UpstreamMemory
  readonly health: HealthMemory
  readonly routing: RoutingValues
  /** What is known by now of how the fronting site sends. */
  readonly profile: TrafficProfile
  readonly log: LogTarget
}

export interface AcceptBoot {
  readonly addresses: readonly HostPort[]
  readonly backlog: number
  /** The thread takes the place of one that has accepted; otherwise it waits for `listen`. */
  readonly fromStart: boolean
}

/** What the primary knows of the ways to Telegram beside the configuration. */
export interface RoutingValues {
  /** Addresses that Telegram publishes, by data centre; empty without auto-update. */
  readonly published: DcTable
  /** What the positions of the per-address counters mean. Only ever grows. */
  readonly dcAddresses: readonly DcAddress[]
  /** Slots in the shared memory of upstreams. */
  readonly upstreams: UpstreamSlots
}

export interface LogTarget {
  readonly level: 'debug' | 'info' | 'warn' | 'silent'
  /** A file descriptor (1 for stdout) or the path of a file. */
  readonly destination: number | string
  /** For people on a terminal, not for machines. */
  readonly pretty: boolean
}

/** What may change while connections live (decision C9). */
export interface ReloadValues {
  readonly config: ProxyConfig
  readonly users: readonly UserEntry[]
  readonly routing: RoutingValues
  readonly logLevel: LogTarget['level']
}

/** What the primary may ask of a worker thread, by Comlink over a port of its own. Never sockets. */
export interface WorkerControl {
  /** Answers as soon as the thread serves. */
  ready(): true
  /** Begin to accept, if the thread does so by itself. Calling it twice is fine. Rejects when an address cannot be had. */
  listen(): Promise<void>
  /** Finish once `handedOver` hand-offs have come in (they travel on another port) and the last connection has ended. */
  drain(handedOver: number): void
  /** End every connection now. */
  closeAll(): void
  /** For connections from now on. Those of users who are no longer there are closed, all others go on. */
  reload(values: ReloadValues): void
  /** An IP list is another one now; for connections from now on. */
  setIpFilter(values: IpFilterValues): void
  /** Something was learnt of the fronting site, for connections from now on. */
  setProfile(profile: TrafficProfile): void
}
