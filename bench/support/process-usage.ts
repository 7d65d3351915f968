import { readdirSync, readFileSync } from 'node:fs'

/** What Linux knows of a process: processor time by thread, and memory. */

/** USER_HZ, fixed on every architecture Node runs on. */
const TICKS_PER_SECOND = 100
/** Threads that Node starts for itself: garbage collection, timers of V8, signals, the libuv pool. */
const HELPER_THREAD = /V8Worker|DelayedTask|SignalInspector|libuv|io_uring|iou-/

export interface CpuSeconds {
  /** Everything the process used, ended threads included. */
  readonly total: number
  readonly primary: number
  readonly workers: number
  /** Mostly garbage collection off the main threads. */
  readonly helpers: number
}

/** utime + stime of the process and of its threads, in steps of 10 ms; threads in nanoseconds where the kernel counts so. */
export function readCpuSeconds(pid: number): CpuSeconds {
  const seconds = { primary: 0, workers: 0, helpers: 0 }
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const directory = `/proc/${pid}/task/${thread}`
    const name = readText(`${directory}/comm`)
    // A thread can end between the listing and the reading: the total still has it.
    if (name === null) continue
    const used = readThreadSeconds(directory)
    if (Number(thread) === pid) seconds.primary += used
    else if (HELPER_THREAD.test(name)) seconds.helpers += used
    else seconds.workers += used
  }
  return { total: readTicks(`/proc/${pid}/stat`), ...seconds }
}

export function subtractCpuSeconds(after: CpuSeconds, before: CpuSeconds): CpuSeconds {
  return {
    total: after.total - before.total,
    primary: after.primary - before.primary,
    workers: after.workers - before.workers,
    helpers: after.helpers - before.helpers,
  }
}

/** Resident set in KiB. */
export function readRssKib(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/status`) ?? '')
  if (match === null) throw new Error(`no VmRSS of process ${pid}`)
  return Number(match[1])
}

function readThreadSeconds(directory: string): number {
  const nanoseconds = readText(`${directory}/schedstat`)?.split(' ')[0]
  return nanoseconds === undefined ? readTicks(`${directory}/stat`) : Number(nanoseconds) / 1e9
}

function readTicks(path: string): number {
  const text = readText(path) ?? ''
  // The name in parentheses may contain spaces; utime and stime are the 12th and 13th field after it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
