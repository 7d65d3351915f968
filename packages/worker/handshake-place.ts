import type { CounterRow } from '#shared/state/counters'
import { countHandshakeLimited } from '#shared/state/handshake-counter'
import {
  NO_SOURCE,
  type HandshakeLimit,
  type HandshakeLimits,
  type Handshakes,
} from '#shared/state/handshakes'
import { slot } from '#shared/state/layout'

const UNFINISHED = slot('unfinished_handshakes')

/** One connection's place among those that have not finished their handshake: held from the hand-off on. */
export class HandshakePlace {
  readonly #handshakes: Handshakes
  readonly #thread: number
  readonly #counters: CounterRow
  #source: number
  #isHeld: boolean

  /** @param source as admitted, for this thread */
  constructor(handshakes: Handshakes, thread: number, source: number, counters: CounterRow) {
    this.#handshakes = handshakes
    this.#thread = thread
    this.#counters = counters
    this.#source = source
    this.#isHeld = true
    counters.add(UNFINISHED, 1)
  }

  /** Only now it is known who the client is. @returns the limit that refuses it, counted, or null */
  setSource(address: string, limits: HandshakeLimits): HandshakeLimit | null {
    if (!this.#isHeld || this.#source !== NO_SOURCE) return null
    const admission = this.#handshakes.admitSource(this.#thread, address, limits)
    if (!admission.ok) {
      countHandshakeLimited(this.#counters, admission.limit)
      return admission.limit
    }
    this.#source = admission.source
    return null
  }

  /** The handshake is finished or has failed. Calling it twice is fine. */
  leave(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#counters.add(UNFINISHED, -1)
    this.#handshakes.leave(this.#thread, this.#source)
  }
}
