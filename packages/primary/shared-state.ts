import type { Logger } from 'pino'
import type { ProxyConfig, ThrottleConfig, UserConfig } from '#shared/config'
import { monotonicMs } from '#shared/monotonic'
import { CounterRow, CounterSums, createCountersMemory, type CountersMemory } from '#shared/state/counters'
import {
  createHistogramMemory,
  HistogramRow,
  HistogramSums,
  type HistogramMemory,
} from '#shared/state/histogram'
import { createHandshakesMemory, Handshakes, type HandshakesMemory } from '#shared/state/handshakes'
import { slot } from '#shared/state/layout'
import { createReplayMemory, ReplaySet, type ReplayMemory } from '#shared/state/replay-set'
import { QuotaLedger } from '#shared/state/quota-ledger'
import { createLedgerMemory, type LedgerMemory } from '#shared/state/ledger-memory'
import { UserLedger } from '#shared/state/user-ledger'
import type { UserEntry, WorkerBoot } from '#shared/worker-control'
import { ClockWatch } from './clock-watch.ts'
import { LeavingUsers } from './leaving-users.ts'
import { DescriptorProbe } from './descriptor-probe.ts'
import type { FamilySources } from './stats/list-families.ts'
import type { StatsSnapshot } from './stats/stats-json.ts'
import { Quotas } from './quota/quotas.ts'
import { withQuota, type Totals } from './state-file/totals.ts'
import { Throttle } from './throttle.ts'
import type { UpgradeMessage } from './upgrade/messages.ts'
import { ReplayExchange } from './upgrade/replay-exchange.ts'
import { UserTotals } from './user-totals.ts'

const ACCEPT_ERRORS = slot('accept_errors')
const DC_UPDATE_FAILURES = slot('dc_update_failures')
const CLOCK_STEPS = slot('clock_steps')
const STATE_SAVE_FAILURES = slot('state_save_failures')
const REPLAY_EVICTIONS = slot('replay_set_evictions')

/** Looking through the ledger costs up to 3 ms: every fourth tick is often enough for what only a death leaves behind. */
const TICKS_PER_REPAIR = 4
/** A replay set that is too small stays so: one line a minute. */
const EVICTION_LOG_INTERVAL_MS = 60_000

/** The memory that all threads share, and the primary's side of it. */
export class SharedState {
  /** The primary's own row, behind those of the workers. */
  readonly counters: CounterRow
  readonly sums: CounterSums
  /** The primary's own row, as of the counters. */
  readonly histograms: HistogramRow
  readonly histogramSums: HistogramSums
  readonly handshakes: Handshakes
  readonly #handshakesMemory: HandshakesMemory
  readonly #histogramMemory: HistogramMemory
  readonly #countersMemory: CountersMemory
  readonly #ledgerMemory: LedgerMemory
  readonly #replayMemory: ReplayMemory | null
  readonly #ledger: UserLedger
  readonly #throttle: Throttle
  readonly #leaving: LeavingUsers
  readonly #quotas: Quotas
  readonly #replay: ReplaySet | null
  readonly #clock: ClockWatch
  readonly #descriptors: DescriptorProbe
  readonly #log: Logger
  #users: readonly UserEntry[]
  readonly #totals: UserTotals
  #ticks: number
  #evicted: number
  #evictionLoggedMs: number

  constructor(config: ProxyConfig, log: Logger) {
    const threads = config.performance.workers
    this.#countersMemory = createCountersMemory(threads)
    this.counters = new CounterRow(this.#countersMemory, threads)
    this.sums = new CounterSums(this.#countersMemory)
    this.#histogramMemory = createHistogramMemory(threads)
    this.histograms = new HistogramRow(this.#histogramMemory, threads)
    this.histogramSums = new HistogramSums(this.#histogramMemory)
    this.#handshakesMemory = createHandshakesMemory(threads)
    this.handshakes = new Handshakes(this.#handshakesMemory)
    this.#ledgerMemory = createLedgerMemory(threads)
    this.#ledger = new UserLedger(this.#ledgerMemory)
    this.#leaving = new LeavingUsers(this.#ledger)
    this.#quotas = new Quotas({ ledger: new QuotaLedger(this.#ledgerMemory, this.#ledger), log })
    const { enabled, maxSizeBytes } = config.defense.antiReplay
    this.#replayMemory = enabled ? createReplayMemory(maxSizeBytes) : null
    this.#replay = this.#replayMemory === null ? null : new ReplaySet(this.#replayMemory, threads)
    this.#clock = new ClockWatch()
    this.#descriptors = new DescriptorProbe(this.counters, log)
    this.#log = log
    this.#ticks = 0
    this.#evicted = 0
    this.#evictionLoggedMs = -Infinity
    this.#users = []
    this.#totals = new UserTotals(config.stateFile !== null)
    this.setUsers(config.users)
    this.#throttle = new Throttle(config.throttle, { ledger: this.#ledger, users: () => this.#users, log })
  }

  get users(): readonly UserEntry[] {
    return this.#users
  }

  /**
   * Names that stay keep their numbers, new ones begin at zero, the others are admitted no more.
   * @throws OperatorError when there are more users than slots, those who leave among them; nothing has changed then
   */
  setUsers(users: readonly UserConfig[]): void {
    const left = new Map(this.#users.map((entry) => [entry.name, entry]))
    const added: number[] = []
    try {
      this.#users = users.map(({ name, secrets, overLimit }) => {
        const known = left.get(name)
        left.delete(name)
        if (known !== undefined) return { ...known, secrets, overLimit }
        const begun = this.#ledger.addUser(this.#leaving.slots)
        added.push(begun.slot)
        return { name, secrets, overLimit, ...begun }
      })
    } catch (error) {
      for (const userSlot of added) this.#ledger.removeUser(userSlot)
      throw error
    }
    const slots = new Map(this.#users.map((entry) => [entry.name, entry.slot]))
    this.#quotas.setUsers(users.map(({ name, quota }) => ({ name, quota, slot: slots.get(name) ?? -1 })))
    for (const { name, slot: userSlot } of left.values()) {
      this.#leaving.add(name, userSlot, this.#totals)
      this.#ledger.removeUser(userSlot)
    }
  }

  setThrottle(config: ThrottleConfig): void {
    this.#throttle.setConfig(config)
  }

  /** What a thread that starts now is given of it. */
  boot(
    thread: number,
  ): Pick<WorkerBoot, 'thread' | 'users' | 'counters' | 'histograms' | 'handshakes' | 'ledger' | 'replay'> {
    return {
      thread,
      users: this.#users,
      counters: this.#countersMemory,
      histograms: this.#histogramMemory,
      handshakes: this.#handshakesMemory,
      ledger: this.#ledgerMemory,
      replay: this.#replayMemory,
    }
  }

  /** A thread died: what it had published stays, what it held is given back (decision O10). */
  forgetThread(thread: number): void {
    this.#replay?.releaseDeadThread(thread)
    this.#ledger.forgetThread(thread)
    this.handshakes.forgetThread(thread)
    this.sums.retire(thread)
  }

  countStateSaveFailure(): void {
    this.counters.add(STATE_SAVE_FAILURES, 1)
  }

  countDcUpdateFailure(): void {
    this.counters.add(DC_UPDATE_FAILURES, 1)
  }

  countAcceptError(): void {
    this.counters.add(ACCEPT_ERRORS, 1)
  }

  tick(): void {
    this.#countEvictions()
    this.#countClockSteps()
    this.#throttle.tick(performance.now())
    this.#leaving.settle(this.#totals)
    this.#quotas.tick()
    this.#descriptors.check(performance.now())
    this.counters.publish()
    this.#ticks += 1
    if (this.#ticks % TICKS_PER_REPAIR !== 0) return
    this.#ledger.repair()
    this.#quotas.repair()
  }

  #countClockSteps(): void {
    const stepMs = this.#clock.look()
    if (stepMs === 0) return
    this.counters.add(CLOCK_STEPS, 1)
    this.#log.warn({ step_ms: stepMs }, 'the system clock was set: clients whose clocks differ are fronted')
  }

  #countEvictions(): void {
    const evicted = this.#replay?.evictedEarly ?? 0
    if (evicted === this.#evicted) return
    this.counters.add(REPLAY_EVICTIONS, evicted - this.#evicted)
    this.#evicted = evicted
    const nowMs = performance.now()
    if (nowMs - this.#evictionLoggedMs < EVICTION_LOG_INTERVAL_MS) return
    this.#evictionLoggedMs = nowMs
    this.#log.warn({ evicted }, 'the replay set is full: raise defense.anti-replay.max-size')
  }

  /** Where exporters read what is kept here. */
  get sources(): Pick<
    FamilySources,
    'sums' | 'ledger' | 'quotas' | 'users' | 'throttle' | 'replayFillRatio'
  > {
    return {
      sums: this.sums,
      ledger: this.#ledger,
      quotas: this.#quotas,
      users: () => this.#users,
      throttle: () => this.#throttle.snapshot(),
      replayFillRatio: () => this.#replay?.fillRatio(monotonicMs() / 1000) ?? null,
    }
  }

  /** What there is to tell a process that takes our place, or is told by one before us; null without anti-replay. */
  exchangeReplay(send: (message: UpgradeMessage) => Promise<void>): ReplayExchange | null {
    // This thread's number: the set is not used by anybody else in it.
    const thread = this.#countersMemory.rows - 1
    return this.#replayMemory === null ? null : new ReplayExchange(this.#replayMemory, thread, send)
  }

  /** Take in what was counted before the start, or by a process that drains. */
  addTotals(counted: ReadonlyMap<string, Totals>): void {
    this.#totals.add(counted)
    for (const [name, { quota }] of counted) if (quota !== undefined) this.#quotas.add(name, quota)
  }

  /** For the state file. */
  listTotals(): ReadonlyMap<string, Totals> {
    this.#leaving.settle(this.#totals)
    const all = this.#totals.listAll(
      new Map(this.#users.map(({ name, slot: userSlot }) => [name, this.#ledger.read(userSlot)])),
    )
    return new Map(
      Array.from(all, ([name, { bytesIn, bytesOut, lastSeenMs }]) => [
        name,
        { bytesIn, bytesOut, lastSeenMs, ...withQuota(this.#quotas.use(name)) },
      ]),
    )
  }

  /** The numbers of `/stats`. */
  snapshot(startedAtMs: number): StatsSnapshot {
    this.#leaving.settle(this.#totals)
    const users = this.#users.map(({ name, slot: userSlot }) => ({
      name,
      ...this.#totals.total(name, this.#ledger.read(userSlot)),
    }))
    return { startedAtMs, users, throttle: this.#throttle.snapshot() }
  }
}
