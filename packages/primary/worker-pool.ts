import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import { wrap } from 'comlink'
import { Piscina } from 'piscina'
import type { Logger } from 'pino'
import { createEndpoint } from '#shared/comlink-endpoint'
import { BugError, OperatorError } from '#shared/errors'
import type { UserSeen } from '#shared/hand-off'
import type { IpFilterValues } from '#shared/ip-filter'
import type { CounterSums } from '#shared/state/counters'
import type { TrafficProfile } from '#shared/traffic-profile'
import type { ReloadValues, WorkerBoot, WorkerControl } from '#shared/worker-control'
import { HangWatchdog } from './hang-watchdog.ts'
import { endOrAbandon, HungThreadError, StuckThreadError } from './thread-end.ts'
import { WorkerThread } from './worker-thread.ts'

/** So many deaths within a minute are no accident: the process ends, and whoever started it sees why. */
const MAX_DEATHS_PER_MINUTE = 5
/** A dead thread's place is taken again after a moment that grows with each death of the last minute. */
const RESTART_BACKOFF_MS = 50

/**
 * JavaScript heap of one worker. 50,000 connections take about 400 MB; a thread that wants more than this leaks, and is
 * better replaced than left to bring the machine down.
 */
const MAX_WORKER_HEAP_MB = 1024
/**
 * The young generation of that heap. V8 lets it grow to 48 MB as soon as many objects live at once, and hardly takes that
 * back: it is most of what a flood makes a process grow by. Half of it costs no processor time that one could measure
 * (bench/README.md, Floods).
 */
const WORKER_YOUNG_MB = 24

export interface WorkerPoolOptions {
  /** What a thread that starts now begins with. */
  readonly boot: (thread: number) => WorkerBoot
  readonly threads: number
  /** In place of HANG_LIMIT_MS of the watchdog. */
  readonly hangLimitMs?: number
  /** In place of MAX_WORKER_HEAP_MB. */
  readonly maxHeapMb?: number
  /** Module with the long task; tests put faults into one of their own. */
  readonly entry?: string
  readonly sums: CounterSums
  readonly log: Logger
  readonly onUserSeen: (seen: UserSeen) => void
  /** A thread died: its rows are to be cleared before its successor starts. */
  readonly onDeath: (thread: number) => void
}

/** Serving before loading, lively before faltering, then the smaller load. */
function isBetter(worker: WorkerThread, other: WorkerThread): boolean {
  if (worker.isServing !== other.isServing) return worker.isServing
  if (worker.isLively !== other.isLively) return worker.isLively
  return worker.load < other.load
}

/** N threads, one long Piscina task each, started again when they die. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #piscina: Piscina
  readonly #workers: readonly WorkerThread[]
  readonly #deathsMs: number[]
  /** To end the thread that is there now. */
  readonly #lives: Map<WorkerThread, AbortController>
  readonly #watchdog: HangWatchdog<WorkerThread>
  #isStopping: boolean
  #destroyed: Promise<void> | null

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#piscina = new Piscina({
      filename: options.entry ?? import.meta.resolve('#worker/serve'),
      minThreads: options.threads,
      maxThreads: options.threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      // With 'sync' a thread whose task has ended stops serving its sockets.
      atomics: 'disabled',
      resourceLimits: {
        maxOldGenerationSizeMb: options.maxHeapMb ?? MAX_WORKER_HEAP_MB,
        maxYoungGenerationSizeMb: WORKER_YOUNG_MB,
      },
    })
    this.#workers = Array.from(
      { length: options.threads },
      (_, index) => new WorkerThread(index, options.sums),
    )
    this.#deathsMs = []
    this.#lives = new Map()
    this.#watchdog = new HangWatchdog(
      this.#workers,
      (worker, silentMs) => this.#endHung(worker, silentMs),
      options.hangLimitMs,
    )
    this.#isStopping = false
    this.#destroyed = null
    // A thread that fails outside of a task, before it took one above all. Piscina then neither starts another one nor
    // ends the task that waits for it, so that is ours to do.
    this.#piscina.on('error', (error: Error) => {
      options.log.error({ error: error.message }, 'worker thread failed while it had no task')
      for (const [worker, life] of this.#lives) if (!worker.isServing) life.abort(error)
    })
  }

  /**
   * Start all threads. `finished` resolves when each has ended after `drain`.
   * @returns once every thread serves
   */
  async start(): Promise<{ finished: Promise<void> }> {
    this.#watchdog.start()
    const runs = this.#workers.map((worker) => this.#keepRunning(worker))
    const finished = Promise.all(runs).then(() => {})
    finished.catch(() => {}) // the caller gets it, if start fails as well it is told once
    const serving = Promise.all(this.#workers.map((worker) => worker.firstServing))
    await Promise.race([serving, finished])
    return { finished }
  }

  /** For exporters: what each place in the pool holds and has been through. */
  get workers(): readonly Pick<WorkerThread, 'index' | 'load' | 'restarts' | 'hangs'>[] {
    return this.#workers
  }

  /** Connections held by all threads. */
  load(): number {
    let load = 0
    for (const worker of this.#workers) load += worker.load
    return load
  }

  /** Whom to give the next connection; a thread that is still loading only if no other serves. */
  leastLoaded(): WorkerThread | null {
    let best: WorkerThread | null = null
    for (const worker of this.#workers) {
      if (worker.isAttached && (best === null || isBetter(worker, best))) best = worker
    }
    return best
  }

  get isServing(): boolean {
    return !this.#isStopping && this.#workers.every((worker) => worker.isServing)
  }

  /** Whether every thread answers; those that have drained need not. One that hangs leaves this open. */
  async answers(): Promise<boolean> {
    const threads = this.#isStopping ? this.#workers.filter(({ isAttached }) => isAttached) : this.#workers
    return (await Promise.all(threads.map((worker) => worker.answers()))).every(Boolean)
  }

  /** Give new values to every thread. */
  async reload(values: ReloadValues): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.reload(values)))
  }

  /** An IP list is another one now. Threads that start later begin with it. */
  setIpFilter(values: IpFilterValues): void {
    for (const worker of this.#workers) this.#tell(worker.control?.setIpFilter(values))
  }

  /**
   * The threads accept from now on, each for itself (`reuse-port`).
   * @throws OperatorError when one of them cannot
   */
  async listen(): Promise<void> {
    try {
      await Promise.all(this.#workers.map((worker) => worker.listen()))
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new OperatorError(`cannot start proxy: ${reason}`, { cause })
    }
  }

  /** Tell every thread what was learnt of the fronting site. */
  setProfile(profile: TrafficProfile): void {
    for (const worker of this.#workers) this.#tell(worker.control?.setProfile(profile))
  }

  /** Threads finish when their last connection has ended. */
  drain(): void {
    this.#isStopping = true
    for (const worker of this.#workers) this.#tell(worker.control?.drain(worker.handedOver))
  }

  /** End every connection now. */
  closeAll(): void {
    for (const worker of this.#workers) this.#tell(worker.control?.closeAll())
  }

  /** A call whose answer nobody waits for: a thread that fails in it is logged, not the end of the process. */
  #tell(call: Promise<void> | undefined): void {
    call?.catch((error: unknown) => {
      this.#options.log.error({ error }, 'a worker thread failed in a control call')
    })
  }

  /** End the threads whatever they do. Calling it twice is fine. */
  destroy(): Promise<void> {
    return (this.#destroyed ??= this.#endThreads())
  }

  async #endThreads(): Promise<void> {
    this.#isStopping = true
    this.#watchdog.stop()
    // Once: a second call would end the first one's state, and Piscina put new threads in the place of those that end.
    await endOrAbandon(this.#piscina.destroy())
  }

  async #keepRunning(worker: WorkerThread): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#run(worker)
      } catch (error) {
        if (this.#destroyed !== null) return // by us
        if (!(error instanceof StuckThreadError)) await this.#mourn(worker, error)
        else if (!this.#isStopping) throw error
      }
    }
  }

  /** One life of a thread. */
  async #run(worker: WorkerThread): Promise<void> {
    const { boot, onUserSeen } = this.#options
    const handOffs = new MessageChannel()
    const controls = new MessageChannel()
    handOffs.port1.on('message', onUserSeen)
    // 'close' comes some turns after the end: it may speak of this life only.
    handOffs.port1.on('close', () => worker.detach(handOffs.port1))
    const life = new AbortController()
    this.#lives.set(worker, life)
    const control = wrap<WorkerControl>(createEndpoint(controls.port1))
    const gone = once(handOffs.port1, 'close')
    void worker.attach(handOffs.port1, control)
    try {
      const task = { boot: boot(worker.index), handOffPort: handOffs.port2, controlPort: controls.port2 }
      // Piscina's own type for transfer lists does not fit @types/node 26.
      const transferList = [handOffs.port2, controls.port2] as unknown as never
      await this.#piscina.run(task, { transferList, signal: life.signal })
    } catch (error) {
      if (!life.signal.aborted) throw error
      const { reason } = life.signal
      // Before its rows are cleared a thread must have written to them for the last time.
      if (reason instanceof HungThreadError && !(await endOrAbandon(gone)))
        throw new StuckThreadError(worker.index, reason)
      throw reason
    } finally {
      this.#lives.delete(worker)
      controls.port1.close()
      worker.detach(handOffs.port1)
    }
  }

  /** A thread that has done nothing for too long is ended, and so replaced. */
  #endHung(worker: WorkerThread, silentMs: number): void {
    const life = this.#lives.get(worker)
    if (life === undefined || life.signal.aborted) return
    this.#options.log.error({ worker: worker.index, silent_ms: silentMs }, 'worker thread hangs')
    worker.countHang()
    life.abort(new HungThreadError(silentMs))
  }

  async #mourn(worker: WorkerThread, error: unknown): Promise<void> {
    const { log, onDeath } = this.#options
    onDeath(worker.index)
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#isStopping) {
      log.error({ worker: worker.index, error: reason }, 'worker thread died') // and nobody takes its place
      return
    }
    worker.countRestart()
    const nowMs = performance.now()
    this.#deathsMs.push(nowMs)
    while (nowMs - this.#deathsMs[0]! > 60_000) this.#deathsMs.shift()
    const deaths = this.#deathsMs.length
    log.error({ worker: worker.index, error: reason, deaths_last_minute: deaths }, 'worker thread died')
    if (deaths >= MAX_DEATHS_PER_MINUTE) {
      this.#isStopping = true
      throw new BugError(`${deaths} worker threads died within a minute, the last one of: ${reason}`, {
        cause: error,
      })
    }
    await sleep(RESTART_BACKOFF_MS * deaths)
  }
}
