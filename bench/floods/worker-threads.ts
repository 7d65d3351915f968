import { readdirSync, readFileSync } from 'node:fs'

/** Threads that Node starts for itself. */
const HELPER_THREAD = /V8Worker|DelayedTask|SignalInspector|libuv|io_uring|iou-/

/** What the kernel counts of the threads of a process that relay, in milliseconds. */
export interface ThreadTime {
  readonly ranMs: number
  /** Ready to run, and the processors were at work for others. */
  readonly waitedMs: number
}

/** Linux: `schedstat` has nanoseconds run and nanoseconds waited. */
export function readWorkerThreads(pid: number): ThreadTime {
  const sum = { ranMs: 0, waitedMs: 0 }
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const directory = `/proc/${pid}/task/${thread}`
    if (Number(thread) === pid || HELPER_THREAD.test(readFileSync(`${directory}/comm`, 'utf8'))) continue
    const [ran, waited] = readFileSync(`${directory}/schedstat`, 'utf8').split(' ')
    sum.ranMs += Number(ran) / 1e6
    sum.waitedMs += Number(waited) / 1e6
  }
  return sum
}
