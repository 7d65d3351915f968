/** How often one looks whether a thread has published: as often as it should. */
export const PULSE_TICK_MS = 250

/**
 * Whether a thread's event loop still turns, by what it publishes. Silence is counted in the looks of who watches and not
 * in time: a process that was stopped or a machine that slept for an hour has not given its threads an hour to move.
 */
export class Pulse {
  readonly #readBeats: () => bigint
  #lastBeats: bigint
  #silentTicks: number

  constructor(readBeats: () => bigint) {
    this.#readBeats = readBeats
    this.#lastBeats = readBeats()
    this.#silentTicks = 0
  }

  /** Another thread is there now, and has all the time to begin. */
  begin(): void {
    this.#lastBeats = this.#readBeats()
    this.#silentTicks = 0
  }

  /** Look once more. @returns looks in a row that have found nothing new */
  count(): number {
    const beats = this.#readBeats()
    this.#silentTicks = beats === this.#lastBeats ? this.#silentTicks + 1 : 0
    this.#lastBeats = beats
    return this.#silentTicks
  }

  /** As of the last look. */
  get silentTicks(): number {
    return this.#silentTicks
  }
}
