/**
 * A circuit breaker that all threads share (decision W13). Its whole state is one word of shared memory, changed by
 * compareExchange alone, so that every transition is exact without a lock:
 *
 *   63                       22 21                   2 1     0
 *   | ms of the last change    | failures in a row    | state |
 */
import type { Socks5Proxy } from '../config.ts'

const CLOSED = 0n
const OPEN = 1n
/** Half-open, and its one trial is on its way. */
const TRIAL = 2n

const STATE_BITS = 2n
const STATE_MASK = (1n << STATE_BITS) - 1n
/** Above the largest threshold that the configuration takes. */
const FAILURE_BITS = 20n
const MAX_FAILURES = (1 << Number(FAILURE_BITS)) - 1
const TIME_SHIFT = STATE_BITS + FAILURE_BITS

/** A thread may die in the middle of its trial. No dial takes this long, so that the next one may be made. */
const TRIAL_LIMIT_MS = 120_000

export type BreakerLimits = Pick<
  Socks5Proxy,
  'openThreshold' | 'halfOpenTimeoutMs' | 'resetFailuresTimeoutMs'
>

export interface BreakerSnapshot {
  readonly state: 'closed' | 'half-open' | 'open'
  /** Failures in a row that count now. */
  readonly failures: number
  /** Until the next trial may be made; 0 unless open. */
  readonly retryInMs: number
}

interface Word {
  readonly state: bigint
  readonly failures: number
  readonly atMs: number
}

/** Times are monotonic and the same in all threads (`monotonicMs`). */
export class CircuitBreaker {
  readonly #cells: BigInt64Array
  readonly #cell: number
  readonly #limits: BreakerLimits

  /** `cells[cell]` is the breaker's; it begins at 0. */
  constructor(cells: BigInt64Array, cell: number, limits: BreakerLimits) {
    this.#cells = cells
    this.#cell = cell
    this.#limits = limits
  }

  /** May a dial begin? Whoever gets a permit has to settle it. Null: the server is left alone. */
  tryEnter(nowMs: number): Permit | null {
    for (;;) {
      const seen = Atomics.load(this.#cells, this.#cell)
      const word = unpack(seen)
      if (word.state === CLOSED) return new Permit(this, null, seen)
      if (nowMs - word.atMs < this.#waitMs(word)) return null
      const trial = pack(TRIAL, word.failures, nowMs)
      if (this.exchange(seen, trial)) return new Permit(this, trial, seen)
    }
  }

  /** Whether the next `tryEnter` would be refused. */
  isOpen(nowMs: number): boolean {
    const word = unpack(Atomics.load(this.#cells, this.#cell))
    return word.state !== CLOSED && nowMs - word.atMs < this.#waitMs(word)
  }

  read(nowMs: number): BreakerSnapshot {
    const word = unpack(Atomics.load(this.#cells, this.#cell))
    const { failures, atMs } = word
    if (word.state === CLOSED)
      return { state: 'closed', failures: this.#isForgotten(word, nowMs) ? 0 : failures, retryInMs: 0 }
    const retryInMs = word.state === OPEN ? Math.max(0, atMs + this.#limits.halfOpenTimeoutMs - nowMs) : 0
    return { state: retryInMs > 0 ? 'open' : 'half-open', failures, retryInMs }
  }

  /** For permits. */
  exchange(seen: bigint, word: bigint): boolean {
    return Atomics.compareExchange(this.#cells, this.#cell, seen, word) === seen
  }

  /** For permits: a dial that is no trial has succeeded. */
  addSuccess(): void {
    for (;;) {
      const seen = Atomics.load(this.#cells, this.#cell)
      const { state, failures } = unpack(seen)
      if (state !== CLOSED || failures === 0 || this.exchange(seen, 0n)) return
    }
  }

  /** For permits: a dial that is no trial has failed. */
  addFailure(nowMs: number): void {
    for (;;) {
      const seen = Atomics.load(this.#cells, this.#cell)
      const word = unpack(seen)
      if (word.state !== CLOSED) return
      const failures = Math.min(MAX_FAILURES, (this.#isForgotten(word, nowMs) ? 0 : word.failures) + 1)
      const state = failures >= this.#limits.openThreshold ? OPEN : CLOSED
      if (this.exchange(seen, pack(state, failures, nowMs))) return
    }
  }

  #waitMs({ state }: Word): number {
    return state === TRIAL ? TRIAL_LIMIT_MS : this.#limits.halfOpenTimeoutMs
  }

  #isForgotten({ atMs }: Word, nowMs: number): boolean {
    return nowMs - atMs >= this.#limits.resetFailuresTimeoutMs
  }
}

/** One dial that was let through. The first of its calls counts. */
export class Permit {
  readonly #breaker: CircuitBreaker
  /** The word that makes this dial the trial, or null. */
  readonly #trial: bigint | null
  /** The word before. */
  readonly #before: bigint
  #isSettled: boolean

  constructor(breaker: CircuitBreaker, trial: bigint | null, before: bigint) {
    this.#breaker = breaker
    this.#trial = trial
    this.#before = before
    this.#isSettled = false
  }

  /** The server did its part. */
  succeed(): void {
    if (!this.#settle()) return
    if (this.#trial === null) this.#breaker.addSuccess()
    else this.#breaker.exchange(this.#trial, 0n)
  }

  fail(nowMs: number): void {
    if (!this.#settle()) return
    if (this.#trial === null) this.#breaker.addFailure(nowMs)
    else this.#breaker.exchange(this.#trial, pack(OPEN, unpack(this.#trial).failures, nowMs))
  }

  /** The dial was given up for reasons of its own: it says nothing, and a trial may be made again at once. */
  cancel(): void {
    if (this.#settle() && this.#trial !== null) this.#breaker.exchange(this.#trial, this.#before)
  }

  #settle(): boolean {
    const isFirst = !this.#isSettled
    this.#isSettled = true
    return isFirst
  }
}

function pack(state: bigint, failures: number, atMs: number): bigint {
  return (BigInt(atMs) << TIME_SHIFT) | (BigInt(failures) << STATE_BITS) | state
}

function unpack(word: bigint): Word {
  return {
    state: word & STATE_MASK,
    failures: Number((word >> STATE_BITS) & BigInt(MAX_FAILURES)),
    atMs: Number(word >> TIME_SHIFT),
  }
}
