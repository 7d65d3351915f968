import type { DcProbeResult, DcProbeTask } from './dc-probe.ts'

/** The short jobs: modules below `worker/tasks`, each with such a function as its default export. */
export interface Tasks {
  'probe-dc': (task: DcProbeTask) => Promise<DcProbeResult>
}

export type TaskName = keyof Tasks
