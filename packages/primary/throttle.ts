import type { Logger } from 'pino'
import type { ThrottleConfig } from '#shared/config'
import { takeWaterLevel } from '#shared/state/fair-share'
import type { UserLedger } from '#shared/state/user-ledger'
import type { UserEntry } from '#shared/worker-control'
import type { ThrottleSnapshot } from './stats/stats-json.ts'

export interface ThrottleOptions {
  readonly ledger: UserLedger
  readonly users: () => readonly UserEntry[]
  readonly log: Logger
}

/**
 * The fair-share limit on connections (decision O14). It holds in the threads that admit, in shared memory; this side
 * sets the limit, lets the shares be counted again at each check, and says what goes on.
 */
export class Throttle {
  readonly #options: ThrottleOptions
  #config: ThrottleConfig
  #isActive: boolean
  /** When the next check is due, on the monotonic clock. */
  #nextCheckMs: number
  /** Refusals of all users up to the last check. */
  #refusals: number

  constructor(config: ThrottleConfig, options: ThrottleOptions) {
    this.#options = options
    this.#config = config
    this.#isActive = false
    this.#nextCheckMs = 0
    this.#refusals = 0
    options.ledger.setLimit(config.maxConnections || null)
    if (config.maxConnections > 0) this.#logStart()
  }

  /** Take up a changed limit: at once, for the next connection. */
  setConfig(config: ThrottleConfig): void {
    const before = this.#config
    this.#config = config
    this.#options.ledger.setLimit(config.maxConnections || null)
    this.#nextCheckMs = 0
    if (config.maxConnections === 0) this.#setActive(false)
    else if (config.maxConnections !== before.maxConnections) this.#logStart()
  }

  /** To be called several times a second. */
  tick(nowMs: number): void {
    const { maxConnections, checkIntervalMs } = this.#config
    if (maxConnections === 0) return
    const isFull = this.#options.ledger.total() >= maxConnections
    if (isFull) this.#setActive(true)
    if (nowMs < this.#nextCheckMs) return
    this.#nextCheckMs = nowMs + checkIntervalMs
    this.#options.ledger.refreshFairShare()
    const refusals = this.#sumRefusals()
    // Below the limit for the moment, but somebody was refused since the last look: it is still at work.
    if (!isFull && refusals === this.#refusals) this.#setActive(false)
    this.#refusals = refusals
  }

  /** null while it is off. The caps are those of wire.md §12.1 for what everybody holds now, but never 0. */
  snapshot(): ThrottleSnapshot | null {
    const limit = this.#config.maxConnections
    if (limit === 0) return null
    const { ledger, users } = this.#options
    const held = users().map(({ name, slot }) => ({ name, live: ledger.readLive(slot) }))
    const level = takeWaterLevel(
      Int32Array.from(held, ({ live }) => live),
      held.length,
      limit,
    )
    const cap = Math.max(1, level)
    return {
      active: this.#isActive || ledger.total() >= limit,
      limit,
      caps: held.filter(({ live }) => live > level).map(({ name }) => ({ name, cap })),
    }
  }

  #sumRefusals(): number {
    const { ledger, users } = this.#options
    return users().reduce((sum, { slot }) => sum + ledger.readRefusals(slot)['fair-share'], 0)
  }

  #setActive(active: boolean): void {
    if (active === this.#isActive) return
    this.#isActive = active
    const { log, ledger } = this.#options
    const fields = { total: ledger.total(), limit: this.#config.maxConnections }
    if (!active) log.info(fields, 'throttle deactivated')
    else log.warn({ ...fields, capped: this.snapshot()?.caps.length ?? 0 }, 'throttle activated')
  }

  #logStart(): void {
    const { maxConnections, checkIntervalMs } = this.#config
    this.#options.log.info({ limit: maxConnections, interval_ms: checkIntervalMs }, 'throttle loop started')
  }
}
