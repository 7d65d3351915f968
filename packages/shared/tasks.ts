import type { DcProbeResult, DcProbeTask } from './dc-probe.ts'
import type { CompiledSource, IpListText, MergedList, NetworkSet } from './ip-list.ts'
import type { FrontProbeResult, FrontProbeTask, VisitResult, VisitTask } from './front-probe.ts'

/** The short jobs: modules below `worker/tasks`, each with such a function as its default export. */
export interface Tasks {
  'probe-dc': (task: DcProbeTask) => Promise<DcProbeResult>
  'compile-ip-list': (task: IpListText) => CompiledSource
  'merge-ip-lists': (task: readonly NetworkSet[]) => MergedList
  'probe-front': (task: FrontProbeTask) => Promise<FrontProbeResult>
  'visit-page': (task: VisitTask) => Promise<VisitResult>
}

export type TaskName = keyof Tasks
