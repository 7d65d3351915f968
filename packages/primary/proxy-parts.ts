import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import type { LiveResolver } from '#shared/dial/live-resolver'
import type { TrafficProfile } from '#shared/traffic-profile'
import type { LogTarget } from '#shared/worker-control'
import type { Ganger } from './doppelganger/ganger.ts'
import type { HandOffs } from './hand-off.ts'
import type { IpLists } from './ip-lists/ip-lists.ts'
import type { Listeners } from './listener.ts'
import type { SharedState } from './shared-state.ts'
import type { TotalsKeeper } from './state-file/totals-keeper.ts'
import type { Outputs } from './stats/outputs.ts'
import type { TaskPool } from './task-pool.ts'
import type { AutoUpdate } from './telegram/auto-update.ts'
import type { Routing } from './telegram/routing.ts'
import type { ReplayCover } from './upgrade/messages.ts'
import type { TakeOver } from './upgrade/take-over.ts'
import type { WorkerPool } from './worker-pool.ts'

/** What holds now. Parts that outlive a change look here whenever they need it. */
export interface Current {
  config: ProxyConfig
  level: LogTarget['level']
  profile: TrafficProfile
  isAccepting: boolean
}

/** What one proxy is made of. Made by create-parts.ts, started and stopped by proxy.ts, changed by reload-parts.ts. */
export interface ProxyParts {
  readonly current: Current
  readonly log: Logger
  /** Of what learns from the fronting site: a name of its own, the same level. */
  readonly gangerLog: Logger
  readonly listeners: Listeners
  /** `reuse-port`. */
  readonly threadsAccept: boolean
  readonly state: SharedState
  readonly resolver: LiveResolver
  readonly routing: Routing
  /** Short jobs, none of which runs on a thread that relays. */
  readonly tasks: TaskPool
  readonly ipLists: IpLists
  readonly pool: WorkerPool
  readonly handOffs: HandOffs
  readonly outputs: Outputs
  readonly totals: TotalsKeeper
  readonly replayCover: ReplayCover
  readonly takeOver: TakeOver | null
  readonly ganger: Ganger
  readonly autoUpdate: AutoUpdate
}
