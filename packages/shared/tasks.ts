import type { DcProbeResult, DcProbeTask } from './dc-probe.ts'
import type { CompiledSource, IpListText, MergedList, NetworkSet } from './ip-list.ts'

/** The short jobs: modules below `worker/tasks`, each with such a function as its default export. */
export interface Tasks {
  'probe-dc': (task: DcProbeTask) => Promise<DcProbeResult>
  'compile-ip-list': (task: IpListText) => CompiledSource
  'merge-ip-lists': (task: readonly NetworkSet[]) => MergedList
}

export type TaskName = keyof Tasks
