import { DialError } from '#shared/errors'

/** Questions on the way at once: enough for every host of a large file, few enough for any resolver and any id space. */
export const MAX_IN_FLIGHT = 64
/** Questions that wait for their turn. More than these are no load, but somebody's attack or a bug. */
export const MAX_QUEUED = 8192

/** Lets so many jobs run at once; the others wait in line. */
export class AskLimit {
  readonly #maxInFlight: number
  readonly #queue: (() => void)[]
  #running: number

  constructor(maxInFlight: number = MAX_IN_FLIGHT) {
    this.#maxInFlight = maxInFlight
    this.#queue = []
    this.#running = 0
  }

  /** @throws DialError `limit` when too many wait already, or whatever the job throws */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#maxInFlight) {
      if (this.#queue.length >= MAX_QUEUED) throw new DialError('limit', 'too many names are being resolved')
      // Whoever ends hands its place on.
      await new Promise<void>((resolve) => this.#queue.push(resolve))
    } else {
      this.#running += 1
    }
    try {
      return await job()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}
