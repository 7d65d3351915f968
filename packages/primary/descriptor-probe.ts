import { closeSync, openSync } from 'node:fs'
import type { Logger } from 'pino'
import type { CounterRow } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { errorCode } from './error-code.ts'

const EXHAUSTED = slot('descriptors_exhausted')
const LOG_INTERVAL_MS = 1000
/** There is nothing cheaper to open: two system calls of a microsecond each. */
const TO_OPEN = '/dev/null'
/**
 * With fewer left it is over, though one can still be opened: moving a socket to its thread takes two for a moment, several
 * are on their way in a burst, and when that fails all of them are free again.
 */
const FEW = 16

/**
 * Notices that the process is out of descriptors. Nobody else tells: when accepting fails for want of one, libuv gives
 * up a descriptor that it has in reserve, accepts, closes the client at once and reports no error.
 */
export class DescriptorProbe {
  readonly #counters: CounterRow
  readonly #log: Logger
  readonly #open: () => number
  #loggedMs: number
  #found: number

  constructor(counters: CounterRow, log: Logger, open: () => number = () => openSync(TO_OPEN, 'r')) {
    this.#counters = counters
    this.#log = log
    this.#open = open
    this.#loggedMs = -Infinity
    this.#found = 0
  }

  /** To be called at every tick. */
  check(nowMs: number): void {
    const error = this.#tryToOpen()
    if (error === null) return
    this.#found += 1
    this.#counters.add(EXHAUSTED, 1)
    if (nowMs - this.#loggedMs < LOG_INTERVAL_MS) return
    this.#loggedMs = nowMs
    this.#log.warn(
      { error, checks: this.#found },
      'out of file descriptors, new clients are closed: raise the limit (ulimit -n, LimitNOFILE=) or lower concurrency',
    )
  }

  #tryToOpen(): string | null {
    const opened: number[] = []
    try {
      while (opened.length < FEW) opened.push(this.#open())
      return null
    } catch (error) {
      const code = errorCode(error)
      return code === 'EMFILE' || code === 'ENFILE' ? code : null // a jail without /dev is no shortage
    } finally {
      for (const descriptor of opened) closeSync(descriptor)
    }
  }
}
