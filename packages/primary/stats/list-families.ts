import type { DcAddress } from '#shared/dc'
import type { UpstreamSnapshot } from '#shared/dial/upstream-state'
import type { CounterSums } from '#shared/state/counters'
import { buildGauge, listCountedFamilies, type SampledFamily } from './families.ts'
import type { ThrottleSnapshot } from './stats-json.ts'
import { listThrottleFamilies } from './throttle-families.ts'
import { listUpstreamFamilies } from './upstream-families.ts'
import { listUserFamilies, type UserFamiliesOptions } from './user-families.ts'
import { listWorkerFamilies, type WorkerNumbers } from './worker-families.ts'

/** Where the numbers come from. Each is read when somebody scrapes. */
export interface FamilySources extends Omit<UserFamiliesOptions, 'limit'> {
  readonly sums: CounterSums
  /** By position. A position keeps its meaning while the process lives. */
  readonly dcAddresses: () => readonly DcAddress[]
  /** Users shown one by one. */
  readonly perUserLimit: number
  readonly throttle: () => ThrottleSnapshot | null
  /** null when anti-replay is off. */
  readonly replayFillRatio: () => number | null
  readonly workers: () => readonly WorkerNumbers[]
  /** The ways to Telegram that the configuration names. */
  readonly upstreams: () => readonly UpstreamSnapshot[]
}

/** Everything that exporters show, for all of them alike; histograms are on their own. */
export function listFamilies(sources: FamilySources): readonly SampledFamily[] {
  const { sums, dcAddresses, perUserLimit, throttle, replayFillRatio, workers, upstreams } = sources
  return [
    ...listCountedFamilies(sums, dcAddresses),
    ...listUserFamilies({ ...sources, limit: perUserLimit }),
    ...listThrottleFamilies(throttle, perUserLimit),
    ...listWorkerFamilies(workers),
    ...listUpstreamFamilies(upstreams),
    buildGauge(
      'replay_set_fill_ratio',
      'Part of the replay set taken by hellos that are still in time; 1: some are forgotten early.',
      replayFillRatio,
    ),
  ]
}
