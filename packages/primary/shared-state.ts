import type { ProxyConfig } from '#shared/config'
import { CounterRow, CounterSums, createCountersMemory, type CountersMemory } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { createReplayMemory, ReplaySet, type ReplayMemory } from '#shared/state/replay-set'
import { createLedgerMemory, UserLedger, type LedgerMemory } from '#shared/state/user-ledger'
import type { UserEntry, WorkerBoot } from '#shared/worker-control'
import type { StatsSnapshot } from './stats/stats-api.ts'

const ACCEPT_ERRORS = slot('accept_errors')
const WORKER_RESTARTS = slot('worker_restarts')

/** The memory that all threads share, and the primary's side of it. */
export class SharedState {
  /** The primary's own row, behind those of the workers. */
  readonly counters: CounterRow
  readonly sums: CounterSums
  readonly #countersMemory: CountersMemory
  readonly #ledgerMemory: LedgerMemory
  readonly #replayMemory: ReplayMemory | null
  readonly #ledger: UserLedger
  readonly #replay: ReplaySet | null
  readonly #users: readonly UserEntry[]

  constructor(config: ProxyConfig) {
    const threads = config.performance.workers
    this.#countersMemory = createCountersMemory(threads)
    this.counters = new CounterRow(this.#countersMemory, threads)
    this.sums = new CounterSums(this.#countersMemory)
    this.#ledgerMemory = createLedgerMemory(threads)
    this.#ledger = new UserLedger(this.#ledgerMemory)
    const { enabled, maxSizeBytes } = config.defense.antiReplay
    this.#replayMemory = enabled ? createReplayMemory(maxSizeBytes) : null
    this.#replay = this.#replayMemory === null ? null : new ReplaySet(this.#replayMemory, threads)
    this.#users = config.users.map(({ name, secrets }) => ({ name, secrets, ...this.#ledger.addUser() }))
  }

  /** What a thread that starts now is given of it. */
  boot(thread: number): Pick<WorkerBoot, 'thread' | 'users' | 'counters' | 'ledger' | 'replay'> {
    return {
      thread,
      users: this.#users,
      counters: this.#countersMemory,
      ledger: this.#ledgerMemory,
      replay: this.#replayMemory,
    }
  }

  /** A thread died: what it had published stays, what it held is given back (decision O10). */
  forgetThread(thread: number): void {
    this.#replay?.releaseDeadThread(thread)
    this.#ledger.forgetThread(thread)
    this.sums.retire(thread)
    this.counters.add(WORKER_RESTARTS, 1)
  }

  countAcceptError(): void {
    this.counters.add(ACCEPT_ERRORS, 1)
  }

  tick(): void {
    this.counters.publish()
    this.#ledger.repair()
  }

  /** The numbers of `/stats`. */
  snapshot(startedAtMs: number): StatsSnapshot {
    const users = this.#users.map(({ name, slot: userSlot }) => ({ name, ...this.#ledger.read(userSlot) }))
    return { startedAtMs, users }
  }
}
