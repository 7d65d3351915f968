import { Piscina } from 'piscina'
import type { TaskName, Tasks } from '#shared/tasks'

/** Tasks mostly wait for the network, so one thread runs many; more than these are a bug, not a load. */
const MAX_CONCURRENT_TASKS = 256
/**
 * The longest are downloads of pages, which `network.timeout.http` ends, 10 s by default. A task that is not over by now
 * never will be, and those behind it wait for its thread: it is ended, whoever asked hears of it and asks again.
 */
const TASK_LIMIT_MS = 600_000

/**
 * Short jobs that must not run on a thread that relays, and not on the primary either. A pool of its own, because on
 * that of the workers they would wait behind tasks that never end. Its only thread starts with the first job and ends
 * when there is none.
 */
export class TaskPool {
  readonly #piscina: Piscina
  readonly #limitMs: number
  /** Of jobs that have not ended. */
  readonly #lives: Set<AbortController>

  constructor(limitMs: number = TASK_LIMIT_MS) {
    this.#limitMs = limitMs
    this.#piscina = new Piscina({
      minThreads: 0,
      maxThreads: 1,
      concurrentTasksPerWorker: MAX_CONCURRENT_TASKS,
      // With 'sync' a thread sleeps while its tasks wait for their sockets.
      atomics: 'disabled',
    })
    this.#lives = new Set()
    // A thread that fails before it has a job, as without a descriptor to load itself with. Unheard it would end the
    // process, and Piscina starts no other one for those who wait.
    this.#piscina.on('error', (error: Error) => {
      for (const life of this.#lives) life.abort(error)
    })
  }

  /**
   * Run one job. Input and result are cloned, shared memory is shared.
   * @throws whatever the job throws, or AbortError when the signal fires, the job takes too long, or its thread cannot be
   * started; ends the thread if the job had begun
   */
  async run<Name extends TaskName>(
    name: Name,
    task: Parameters<Tasks[Name]>[0],
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<Tasks[Name]>>> {
    const filename = import.meta.resolve(`#worker/tasks/${name}`)
    const life = new AbortController()
    const signals = [life.signal, AbortSignal.timeout(this.#limitMs)]
    if (signal !== undefined) signals.push(signal)
    this.#lives.add(life)
    try {
      return await this.#piscina.run(task, { filename, signal: AbortSignal.any(signals) })
    } finally {
      this.#lives.delete(life)
    }
  }

  /** End the thread, whatever it does. */
  async close(): Promise<void> {
    await this.#piscina.destroy()
  }
}
