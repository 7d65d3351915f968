import { PaceTimer, type Paced } from '#worker/doppelganger/pace-timer'

/** A pace timer whose time passes when a test says so, in steps of the grid. */
export class ManualTimer extends PaceTimer {
  timeMs: number
  readonly #active: Set<Paced>

  constructor() {
    super()
    this.timeMs = 1000
    this.#active = new Set()
  }

  override nowMs(): number {
    return this.timeMs
  }

  override add(paced: Paced): void {
    this.#active.add(paced)
  }

  override delete(paced: Paced): void {
    this.#active.delete(paced)
  }

  override get isRunning(): boolean {
    return this.#active.size > 0
  }

  /** One millisecond later: who is due is served. */
  step(): void {
    this.timeMs += 1
    for (const paced of this.#active) if (paced.deadlineMs <= this.timeMs) paced.release(this.timeMs)
  }

  /** Nothing was served meanwhile: the thread was busy. */
  skip(ms: number): void {
    this.timeMs += ms
  }
}
