import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Probe, Target } from './target.ts'

/** Other processes may have had the processor meanwhile: only what is slow each time is slow. */
const SLOW_TRIES = 4

/** What one input did wrong, or null. */
export type Failure = { readonly kind: 'threw' | 'stray' | 'slow'; readonly reason: string } | null

/** Feeds inputs to a target one by one, and tells what each of them did wrong. */
export class Judge {
  readonly #target: Target
  readonly #probe: Probe
  readonly #strays: unknown[]
  readonly #onStray: (error: unknown) => void

  constructor(target: Target, probe: Probe) {
    this.#target = target
    this.#probe = probe
    this.#strays = []
    this.#onStray = (error) => void this.#strays.push(error)
    process.on('uncaughtException', this.#onStray)
    process.on('unhandledRejection', this.#onStray)
  }

  async judge(input: Buffer): Promise<Failure> {
    const { limitMs } = this.#target
    let fastestMs = Infinity
    for (let tries = 0; tries < SLOW_TRIES && fastestMs > limitMs; tries++) {
      const startMs = performance.now()
      try {
        // The target may write into it.
        const running = this.#probe.run(Buffer.from(input))
        if (running !== undefined) await running
      } catch (error) {
        return { kind: 'threw', reason: describe(error) }
      }
      fastestMs = Math.min(fastestMs, performance.now() - startMs)
      if (this.#strays.length > 0) return this.#takeStray()
    }
    if (fastestMs <= limitMs) return null
    return { kind: 'slow', reason: `took ${Math.round(fastestMs)} ms, more than ${limitMs} ms` }
  }

  /** Give promises that nobody waited for the time to reject; now and then is enough. */
  async settle(): Promise<Failure> {
    await nextTurn()
    return this.#strays.length > 0 ? this.#takeStray() : null
  }

  async close(): Promise<void> {
    process.off('uncaughtException', this.#onStray)
    process.off('unhandledRejection', this.#onStray)
    await this.#probe.close()
  }

  #takeStray(): Failure {
    const [first] = this.#strays.splice(0)
    return { kind: 'stray', reason: `nobody caught: ${describe(first)}` }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
