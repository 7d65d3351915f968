import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { wrap, type Remote } from 'comlink'
import { Piscina } from 'piscina'
import type { Logger } from 'pino'
import { createEndpoint } from '#shared/comlink-endpoint'
import { BugError } from '#shared/errors'
import type { HandOff, UserSeen } from '#shared/hand-off'
import type { CounterSums } from '#shared/state/counters'
import type { WorkerBoot, WorkerControl } from '#shared/worker-control'

/** More deaths than this within a minute are no accident: the process ends, and whoever started it sees why. */
const MAX_DEATHS_PER_MINUTE = 5
/** A dead thread's place is taken again after a moment that grows with each death of the last minute. */
const RESTART_BACKOFF_MS = 50

/**
 * JavaScript heap of one worker. 50,000 connections take about 400 MB; a thread that wants more than this leaks, and is
 * better replaced than left to bring the machine down.
 */
const MAX_WORKER_HEAP_MB = 1024

/** One place in the pool; the thread in it may be replaced. */
export class WorkerThread {
  readonly index: number
  readonly #sums: CounterSums
  #port: MessagePort | null
  #control: Remote<WorkerControl> | null
  #handedOver: number

  constructor(index: number, sums: CounterSums) {
    this.index = index
    this.#sums = sums
    this.#port = null
    this.#control = null
    this.#handedOver = 0
  }

  /** Connections it holds, those on their way included. */
  get load(): number {
    return this.#handedOver - this.#sums.closed(this.index)
  }

  get isServing(): boolean {
    return this.#port !== null
  }

  get control(): Remote<WorkerControl> | null {
    return this.#control
  }

  get handedOver(): number {
    return this.#handedOver
  }

  /** @throws DataCloneError when the socket cannot be moved */
  handOff(handOff: HandOff): void {
    this.#port?.postMessage(handOff, [handOff.socket])
    this.#handedOver += 1
  }

  attach(port: MessagePort, control: Remote<WorkerControl>): void {
    this.#port = port
    this.#control = control
  }

  /** The thread is gone; what it held is closed. */
  detach(): void {
    this.#port?.close()
    this.#port = null
    this.#control = null
    this.#handedOver = 0
  }
}

export interface WorkerPoolOptions {
  /** What a thread that starts now begins with. */
  readonly boot: (thread: number) => WorkerBoot
  readonly threads: number
  /** Module with the long task; tests put faults into one of their own. */
  readonly entry?: string
  readonly sums: CounterSums
  readonly log: Logger
  readonly onUserSeen: (seen: UserSeen) => void
  /** A thread died: its rows are to be cleared before its successor starts. */
  readonly onDeath: (thread: number) => void
}

/** N threads, one long Piscina task each, started again when they die. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #piscina: Piscina
  readonly #workers: readonly WorkerThread[]
  readonly #deathsMs: number[]
  #isStopping: boolean

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
      resourceLimits: { maxOldGenerationSizeMb: MAX_WORKER_HEAP_MB },
    })
    this.#workers = Array.from(
      { length: options.threads },
      (_, index) => new WorkerThread(index, options.sums),
    )
    this.#deathsMs = []
    this.#isStopping = false
  }

  /**
   * Start all threads. `finished` resolves when each has ended after `drain`.
   * @returns once every thread serves
   */
  async start(): Promise<{ finished: Promise<void> }> {
    const runs = this.#workers.map((worker) => this.#keepRunning(worker))
    const finished = Promise.all(runs).then(() => {})
    finished.catch(() => {}) // the caller gets it, if start fails as well it is told once
    const ready = Promise.all(this.#workers.map(async (worker) => worker.control?.ready()))
    await Promise.race([ready, finished])
    return { finished }
  }

  /** Connections held by all threads. */
  load(): number {
    let load = 0
    for (const worker of this.#workers) load += worker.load
    return load
  }

  leastLoaded(): WorkerThread | null {
    let best: WorkerThread | null = null
    for (const worker of this.#workers) {
      if (worker.isServing && (best === null || worker.load < best.load)) best = worker
    }
    return best
  }

  get isServing(): boolean {
    return !this.#isStopping && this.#workers.every((worker) => worker.isServing)
  }

  /** Threads finish when their last connection has ended. */
  drain(): void {
    this.#isStopping = true
    for (const worker of this.#workers) void worker.control?.drain(worker.handedOver)
  }

  /** End every connection now. */
  closeAll(): void {
    for (const worker of this.#workers) void worker.control?.closeAll()
  }

  /** End the threads whatever they do. */
  async destroy(): Promise<void> {
    this.#isStopping = true
    await this.#piscina.destroy()
  }

  async #keepRunning(worker: WorkerThread): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#run(worker)
      } catch (error) {
        if (this.#isStopping) return
        await this.#mourn(worker, error)
      } finally {
        worker.detach()
      }
    }
  }

  /** One life of a thread. */
  async #run(worker: WorkerThread): Promise<void> {
    const { boot, onUserSeen } = this.#options
    const handOffs = new MessageChannel()
    const controls = new MessageChannel()
    handOffs.port1.on('message', onUserSeen)
    handOffs.port1.on('close', () => worker.detach())
    worker.attach(handOffs.port1, wrap<WorkerControl>(createEndpoint(controls.port1)))
    try {
      const task = { boot: boot(worker.index), handOffPort: handOffs.port2, controlPort: controls.port2 }
      // Piscina's own type for transfer lists does not fit @types/node 26.
      const transferList = [handOffs.port2, controls.port2] as unknown as never
      await this.#piscina.run(task, { transferList })
    } finally {
      controls.port1.close()
    }
  }

  async #mourn(worker: WorkerThread, error: unknown): Promise<void> {
    const { log, onDeath } = this.#options
    worker.detach()
    onDeath(worker.index)
    const nowMs = performance.now()
    this.#deathsMs.push(nowMs)
    while (nowMs - this.#deathsMs[0]! > 60_000) this.#deathsMs.shift()
    const deaths = this.#deathsMs.length
    const reason = error instanceof Error ? error.message : String(error)
    log.error({ worker: worker.index, error: reason, deaths_last_minute: deaths }, 'worker thread died')
    if (deaths >= MAX_DEATHS_PER_MINUTE) {
      throw new BugError(`${deaths} worker threads died within a minute, the last one of: ${reason}`, {
        cause: error,
      })
    }
    await sleep(RESTART_BACKOFF_MS * deaths)
  }
}
