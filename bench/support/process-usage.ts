import { parseStat, parseStatus, readText } from './proc.ts'
import { listThreads, listTree } from './process-tree.ts'

/** What Linux knows of a proxy: processor time by thread, and memory, of its processes and all their children. */

/** Threads that Node starts for itself: garbage collection, timers of V8, signals, the libuv pool. */
const HELPER_THREAD = /V8Worker|DelayedTask|SignalInspector|libuv|io_uring|iou-/

export interface CpuSeconds {
  /** Everything that the processes used, ended threads and children included. */
  readonly total: number
  /** The main threads. */
  readonly primary: number
  readonly workers: number
  /** Of Node: mostly garbage collection off the main threads. */
  readonly helpers: number
}

export interface CpuReading {
  /** Whole processes, in steps of 10 ms. */
  readonly processSeconds: number
  /** By thread id; in nanoseconds where the kernel counts so. */
  readonly threads: ReadonlyMap<number, ThreadReading>
}

interface ThreadReading {
  readonly kind: 'primary' | 'workers' | 'helpers'
  readonly seconds: number
}

/** Of these processes and all that descend from them. */
export function readCpu(roots: readonly number[]): CpuReading {
  const threads = new Map<number, ThreadReading>()
  let processSeconds = 0
  for (const pid of listTree(roots)) {
    const stat = parseStat(readText(`/proc/${pid}/stat`) ?? '')
    // It can end between the listing and the reading; its parent has its time then.
    if (stat === null) continue
    processSeconds += stat.ownSeconds + stat.endedChildrenSeconds
    for (const thread of listThreads(pid)) {
      const directory = `/proc/${pid}/task/${thread}`
      const name = readText(`${directory}/comm`)
      if (name === null) continue
      const seconds = readThreadSeconds(directory)
      const kind = thread === pid ? 'primary' : HELPER_THREAD.test(name) ? 'helpers' : 'workers'
      threads.set(thread, { kind, seconds })
    }
  }
  return { processSeconds, threads }
}

/**
 * Used between two readings. The total is the threads' sum, which is finer, unless a thread has come or gone.
 */
export function subtractCpu(after: CpuReading, before: CpuReading): CpuSeconds {
  const seconds = { primary: 0, workers: 0, helpers: 0 }
  let isComplete = before.threads.size === after.threads.size
  for (const [thread, { kind, seconds: used }] of after.threads) {
    const earlier = before.threads.get(thread)
    if (earlier === undefined) isComplete = false
    seconds[kind] += used - (earlier?.seconds ?? 0)
  }
  const total = isComplete
    ? seconds.primary + seconds.workers + seconds.helpers
    : after.processSeconds - before.processSeconds
  return { total, ...seconds }
}

/** Resident set in KiB; pages that several processes share count once for each. */
export function readRssKib(roots: readonly number[]): number {
  let kib = 0
  for (const pid of listTree(roots)) kib += parseStatus(readText(`/proc/${pid}/status`) ?? '').rssKib
  return kib
}

function readThreadSeconds(directory: string): number {
  const nanoseconds = readText(`${directory}/schedstat`)?.split(' ')[0]
  if (nanoseconds !== undefined) return Number(nanoseconds) / 1e9
  return parseStat(readText(`${directory}/stat`) ?? '')?.ownSeconds ?? 0
}
