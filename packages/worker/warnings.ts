import type { Logger } from 'pino'
import type { Clock } from './clock.ts'

/** Hostile peers can cause a warning each: one line of a kind per thread and second is enough to act on. */
const MIN_INTERVAL_MS = 1000

/** Warnings that a flood of connections must not turn into a flood of lines. */
export class Warnings {
  readonly #log: Logger
  readonly #clock: Clock
  readonly #kinds: Map<string, { lastMs: number; suppressed: number }>

  constructor(log: Logger, clock: Clock) {
    this.#log = log
    this.#clock = clock
    this.#kinds = new Map()
  }

  /** @param message from a closed list: it is the kind that is counted by */
  warn(message: string, fields: Record<string, unknown>): void {
    const now = this.#clock.monotonicMs
    const kind = this.#kinds.get(message)
    if (kind !== undefined && now - kind.lastMs < MIN_INTERVAL_MS) {
      kind.suppressed += 1
      return
    }
    const suppressed = kind?.suppressed ?? 0
    this.#kinds.set(message, { lastMs: now, suppressed: 0 })
    this.#log.warn(suppressed === 0 ? fields : { ...fields, suppressed }, message)
  }
}
