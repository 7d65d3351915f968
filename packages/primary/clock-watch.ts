/** Less than this is a correction of ntpd or chronyd, and no client notices. */
const MIN_STEP_MS = 1000

/**
 * Notices that the system's clock was set, which makes the hellos of clients stale whose clocks it does not agree with any
 * more. What a slow correction adds up to is followed and not told.
 */
export class ClockWatch {
  readonly #readWallMs: () => number
  readonly #readMonotonicMs: () => number
  #offsetMs: number

  constructor(
    readWallMs: () => number = () => Date.now(),
    readMonotonicMs: () => number = () => performance.now(),
  ) {
    this.#readWallMs = readWallMs
    this.#readMonotonicMs = readMonotonicMs
    this.#offsetMs = readWallMs() - readMonotonicMs()
  }

  /** @returns by how many ms the clock was set since the last look, 0 for not at all */
  look(): number {
    const offsetMs = this.#readWallMs() - this.#readMonotonicMs()
    const stepMs = Math.round(offsetMs - this.#offsetMs)
    this.#offsetMs = offsetMs
    return Math.abs(stepMs) < MIN_STEP_MS ? 0 : stepMs
  }
}
