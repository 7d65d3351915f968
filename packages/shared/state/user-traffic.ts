/**
 * What the users of one slot of the ledger have moved: the sum of the threads' rows, and what the primary alone knows of
 * dead threads and of the users before.
 */
import {
  ROW_BYTES_IN,
  ROW_BYTES_OUT,
  ROW_LAST_SEEN,
  rowOffset,
  USER_VERSION,
  userStart,
} from './ledger-layout.ts'
import type { LedgerView } from './ledger-memory.ts'
import { loadNumber } from './load-number.ts'

/** All but the connections. */
export interface TrafficNumbers {
  readonly bytesIn: number
  readonly bytesOut: number
  /** Unix time, or null for never. */
  readonly lastSeenMs: number | null
}

export class UserTraffic {
  readonly #view: LedgerView
  /** Where the slot begins in the cells. */
  readonly #user: number
  /** Added to the sum of the rows: what dead threads left, less what was there when the slot got its user. */
  #bytesInOffset: number
  #bytesOutOffset: number
  #retiredLastSeenMs: number
  /** Activity up to then was the user's before. */
  #lastSeenFloorMs: number
  /** The sums of the rows as of this version. */
  #version: number
  #rowsIn: number
  #rowsOut: number
  #rowsLastSeenMs: number

  /** @param slot with its memory committed */
  constructor(view: LedgerView, slot: number) {
    this.#view = view
    this.#user = userStart(view.threads, slot)
    this.#bytesInOffset = 0
    this.#bytesOutOffset = 0
    this.#retiredLastSeenMs = 0
    this.#lastSeenFloorMs = 0
    this.#version = 0
    this.#rowsIn = 0
    this.#rowsOut = 0
    this.#rowsLastSeenMs = 0
  }

  /** The slot gets a new user, who has moved nothing. */
  begin(): void {
    this.#sumRows()
    this.#bytesInOffset = -this.#rowsIn
    this.#bytesOutOffset = -this.#rowsOut
    this.#lastSeenFloorMs = Math.max(this.#rowsLastSeenMs, this.#retiredLastSeenMs)
  }

  /** As of the threads' last publication. */
  read(): TrafficNumbers {
    if (Atomics.load(this.#view.cells, this.#user + USER_VERSION) !== this.#version) this.#sumRows()
    const lastSeenMs = Math.max(this.#rowsLastSeenMs, this.#retiredLastSeenMs)
    return {
      bytesIn: this.#rowsIn + this.#bytesInOffset,
      bytesOut: this.#rowsOut + this.#bytesOutOffset,
      lastSeenMs: lastSeenMs > this.#lastSeenFloorMs ? lastSeenMs : null,
    }
  }

  /** Empty the row of a dead thread and keep what it had counted. The caller raises the version. */
  retire(thread: number): void {
    const row = this.#user + rowOffset(thread)
    const take = (at: number): number => Number(Atomics.exchange(this.#view.numbers, (row + at) / 2, 0n))
    this.#bytesInOffset += take(ROW_BYTES_IN)
    this.#bytesOutOffset += take(ROW_BYTES_OUT)
    this.#retiredLastSeenMs = Math.max(this.#retiredLastSeenMs, take(ROW_LAST_SEEN))
  }

  #sumRows(): void {
    const { cells, threads } = this.#view
    // Before the rows: what is written meanwhile raises the version again and is read next time.
    this.#version = Atomics.load(cells, this.#user + USER_VERSION)
    let bytesIn = 0
    let bytesOut = 0
    let lastSeenMs = 0
    for (let thread = 0; thread < threads; thread++) {
      const row = this.#user + rowOffset(thread)
      bytesIn += loadNumber(cells, row + ROW_BYTES_IN)
      bytesOut += loadNumber(cells, row + ROW_BYTES_OUT)
      lastSeenMs = Math.max(lastSeenMs, loadNumber(cells, row + ROW_LAST_SEEN))
    }
    this.#rowsIn = bytesIn
    this.#rowsOut = bytesOut
    this.#rowsLastSeenMs = lastSeenMs
  }
}
