/**
 * Fair shares of a limited number of connections (wire.md §12.1, decision O14): everybody gets what they hold up to a
 * level, as water fills a vessel with an uneven ground.
 */
import { FAIR, FAIR_DECISIONS, LIMIT, NO_LIMIT, USER_LIVE, userCells, userStart } from './ledger-layout.ts'
import type { LedgerMemory } from './ledger-memory.ts'

/**
 * The largest whole number for which Σ min(count, level) ≤ limit; Infinity when Σ counts ≤ limit. `counts` are whole
 * numbers and are used up: they stand in another order and number afterwards.
 */
export function takeWaterLevel(counts: Int32Array, length: number, limit: number): number {
  let budget = limit
  let left = length
  while (left > 0) {
    const share = Math.floor(budget / left)
    let above = 0
    for (let at = 0; at < left; at++) {
      const count = counts[at]! // inside by the loop's bounds
      if (count <= share) budget -= count
      else counts[above++] = count
    }
    if (above === left) return Math.max(0, share)
    left = above
  }
  return Infinity
}

/** Users for whose counts the level is computed anew at every decision: about as much work as one hash of a hello. */
const USERS_PER_DECISION = 512

/**
 * The level from which on nobody is admitted while the total is at the limit. Whoever decides keeps it up to date, so
 * that it holds between the throttle's checks and in the moment in which the limit is reached: a thread counts all
 * users again after so many decisions as pay for it, which is each time while there are few users.
 */
export class FairShare {
  readonly #memory: LedgerMemory
  #counts: Int32Array

  constructor(memory: LedgerMemory) {
    this.#memory = memory
    this.#counts = new Int32Array(0)
  }

  /**
   * Whether a user has a fair share already, so that one more connection is too many. Asked only while the total is at
   * the limit or above.
   * @param cells the ledger's, as far as it is committed
   * @param user where the user stands in them
   * @param reserved 1 if the connection that is asked for is counted there already, else 0
   */
  isReached(cells: Int32Array, user: number, reserved: 0 | 1): boolean {
    // As it is now: other threads may have taken places of the same user since the caller looked.
    const live = Atomics.load(cells, user + USER_LIVE) - reserved
    if (Atomics.sub(cells, FAIR_DECISIONS, 1) > 0) {
      const known = Atomics.load(cells, FAIR)
      if (known !== NO_LIMIT) return live >= known
    }
    return live >= this.#compute(cells, user, live)
  }

  /**
   * Somebody at `live` may have one more if everybody's counts and the request stay within the limit when cut at the
   * level of `live + 1`. That is so exactly if `live` is below the level of the counts for one connection less than
   * the limit, whoever asks: so one number serves all users. Everybody may have one connection.
   */
  #compute(cells: Int32Array, user: number, live: number): number {
    const { threads } = this.#memory
    const users = Math.floor((cells.length - userStart(threads, 0)) / userCells(threads))
    if (this.#counts.length < users) this.#counts = new Int32Array(users)
    let busy = 0
    for (let slot = 0; slot < users; slot++) {
      const at = userStart(threads, slot)
      const count = at === user ? live : Atomics.load(cells, at + USER_LIVE)
      if (count > 0) this.#counts[busy++] = count
    }
    const level = takeWaterLevel(this.#counts, busy, Atomics.load(cells, LIMIT) - 1)
    const fair = Math.min(NO_LIMIT, Math.max(1, level))
    Atomics.store(cells, FAIR, fair)
    Atomics.store(cells, FAIR_DECISIONS, Math.ceil(users / USERS_PER_DECISION) - 1)
    return fair
  }
}
