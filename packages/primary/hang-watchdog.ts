import { PULSE_TICK_MS } from './pulse.ts'
import type { WorkerThread } from './worker-thread.ts'

/**
 * A thread that has not turned its event loop for so long never will: the longest things that a sound one does in a turn
 * are a full collection of its heap (about a second a gigabyte) and a slice of a key search (milliseconds). Clients have
 * given up by then, but those who come are given to other threads after two seconds.
 */
export const HANG_LIMIT_MS = 20_000
/** Loading is compiling: half a second, and several on a machine that has no time for us. Nobody waits for it but the start. */
const LOADING_FACTOR = 3

type Watched = Pick<WorkerThread, 'isServing' | 'countSilence'>

/** Looks whether the threads do anything, and tells of each that does not, at every look until it does. */
export class HangWatchdog<Worker extends Watched> {
  readonly #workers: readonly Worker[]
  readonly #onHang: (worker: Worker, silentMs: number) => void
  readonly #limitTicks: number
  #timer: NodeJS.Timeout | null

  /** @param limitMs how long a thread that serves may be silent */
  constructor(
    workers: readonly Worker[],
    onHang: (worker: Worker, silentMs: number) => void,
    limitMs: number = HANG_LIMIT_MS,
  ) {
    this.#workers = workers
    this.#onHang = onHang
    this.#limitTicks = Math.ceil(limitMs / PULSE_TICK_MS)
    this.#timer = null
  }

  start(): void {
    this.#timer ??= setInterval(() => this.look(), PULSE_TICK_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** To be called each PULSE_TICK_MS, which `start` sees to. */
  look(): void {
    for (const worker of this.#workers) {
      const silentTicks = worker.countSilence()
      const limitTicks = worker.isServing ? this.#limitTicks : this.#limitTicks * LOADING_FACTOR
      if (silentTicks >= limitTicks) this.#onHang(worker, silentTicks * PULSE_TICK_MS)
    }
  }
}
