import type { Logger } from 'pino'
import type { QuotaConfig } from '#shared/config'
import type { QuotaLedger } from '#shared/state/quota-ledger'
import { endOf } from './period.ts'
import { beginUse, carryUse, judgeStart, mergeUse, type QuotaUse } from './quota-use.ts'

/** Names without a quota whose use is kept in case they get one again; those that had one last. */
const MAX_KEPT = 10_000
/** Quotas compared per `repair`, whatever their number: a fraction of a millisecond. */
const REPAIRS_PER_CALL = 256

/** A user, as far as quotas are concerned. */
export interface QuotaUser {
  readonly name: string
  /** In the ledger. */
  readonly slot: number
  readonly quota: QuotaConfig | null
}

/** What exporters show. */
export interface QuotaNumbers {
  readonly limitBytes: number
  readonly usedBytes: number
}

export interface QuotasOptions {
  readonly ledger: QuotaLedger
  readonly log: Logger
  /** Unix time. */
  readonly readWallMs?: () => number
  readonly readMonotonicMs?: () => number
}

interface Holder {
  readonly name: string
  readonly slot: number
  quota: QuotaConfig
  startMs: number
  /** Whether it was said that the quota is used up. */
  isOver: boolean
  /** Since when, by the monotonic clock, the wall clock has been before `startMs`; null: it is not. */
  behindSinceMs: number | null
}

/** The quotas of users over their periods: the primary's side. Threads spend them, see shared/state/prepaid.ts. */
export class Quotas {
  readonly #ledger: QuotaLedger
  readonly #log: Logger
  readonly #readWallMs: () => number
  readonly #readMonotonicMs: () => number
  readonly #holders: Map<string, Holder>
  /** By slot, the same. */
  readonly #bySlot: Map<number, Holder>
  /** Of those who have no quota now. */
  readonly #kept: Map<string, QuotaUse>
  #repairQueue: Iterator<Holder>

  constructor(options: QuotasOptions) {
    this.#ledger = options.ledger
    this.#log = options.log
    this.#readWallMs = options.readWallMs ?? (() => Date.now())
    this.#readMonotonicMs = options.readMonotonicMs ?? (() => performance.now())
    this.#holders = new Map()
    this.#bySlot = new Map()
    this.#kept = new Map()
    this.#repairQueue = [].values()
  }

  /** These are all users now. Changed quotas hold at once; what is used stays used. Slots of who left are free then. */
  setUsers(users: readonly QuotaUser[]): void {
    const left = new Map(this.#holders)
    for (const { name, slot, quota } of users) {
      if (quota === null) continue
      const holder = this.#holders.get(name)
      if (holder === undefined || holder.slot !== slot) continue
      left.delete(name)
      this.#change(holder, quota)
    }
    for (const holder of left.values()) this.#drop(holder)
    for (const user of users)
      if (user.quota !== null && !this.#holders.has(user.name)) this.#begin(user, user.quota)
  }

  /** Take in what was used before the start, or in a process that drains. */
  add(name: string, use: QuotaUse): void {
    const holder = this.#holders.get(name)
    if (holder === undefined) return this.#keep(name, use)
    const known = this.#readUse(holder)
    this.#set(holder, known, mergeUse(known, carryUse(use, holder.quota.period, this.#readWallMs())))
  }

  /** What was used of a quota that the user has or had. */
  use(name: string): QuotaUse | undefined {
    const holder = this.#holders.get(name)
    return holder === undefined ? this.#kept.get(name) : this.#readUse(holder)
  }

  /** null for who has none. */
  read(slot: number): QuotaNumbers | null {
    const holder = this.#bySlot.get(slot)
    if (holder === undefined) return null
    return { limitBytes: holder.quota.limitBytes, usedBytes: this.#ledger.readUsed(slot) }
  }

  /** To be called several times a second: begin what is due, and say what has come to its end. */
  tick(): void {
    const nowMs = this.#readWallMs()
    const renewed = new Map<QuotaConfig['period'], { users: number; reopened: number }>()
    for (const holder of this.#holders.values()) {
      const { period } = holder.quota
      const verdict = judgeStart({ period, startMs: holder.startMs }, nowMs, this.#behindMs(holder, nowMs))
      if (verdict === 'over') {
        const sums = renewed.get(period) ?? { users: 0, reopened: 0 }
        renewed.set(period, { users: sums.users + 1, reopened: sums.reopened + Number(holder.isOver) })
        this.#set(holder, this.#readUse(holder), beginUse(period, nowMs))
      } else if (verdict === 'wrong') {
        holder.startMs = beginUse(period, nowMs).startMs
        holder.behindSinceMs = null
      }
      this.#lookForEnd(holder)
    }
    for (const [period, sums] of renewed) this.#log.info({ period, ...sums }, 'quotas have been renewed')
  }

  /** Put right what dead threads left half done, of some at a time. To be called each second. */
  repair(): void {
    for (let left = Math.min(REPAIRS_PER_CALL, this.#holders.size); left > 0; left--) {
      let next = this.#repairQueue.next()
      if (next.done === true) {
        this.#repairQueue = this.#holders.values()
        next = this.#repairQueue.next()
      }
      if (next.done !== true) this.#ledger.repair(next.value.slot)
    }
  }

  #begin({ name, slot }: QuotaUser, quota: QuotaConfig): void {
    const nowMs = this.#readWallMs()
    const kept = this.#kept.get(name)
    this.#kept.delete(name)
    const use = kept === undefined ? beginUse(quota.period, nowMs) : carryUse(kept, quota.period, nowMs)
    const holder = { name, slot, quota, startMs: use.startMs, isOver: false, behindSinceMs: null }
    this.#holders.set(name, holder)
    this.#bySlot.set(slot, holder)
    this.#ledger.begin(slot, quota.limitBytes, use.usedBytes)
    this.#lookForEnd(holder)
  }

  #change(holder: Holder, quota: QuotaConfig): void {
    const before = holder.quota
    if (quota.limitBytes === before.limitBytes && quota.period === before.period) return
    const known = this.#readUse(holder)
    holder.quota = quota
    this.#set(holder, known, carryUse(known, quota.period, this.#readWallMs()))
  }

  #drop(holder: Holder): void {
    const use = this.#readUse(holder)
    this.#ledger.remove(holder.slot)
    this.#holders.delete(holder.name)
    this.#bySlot.delete(holder.slot)
    this.#keep(holder.name, use)
  }

  #keep(name: string, use: QuotaUse): void {
    const known = this.#kept.get(name)
    this.#kept.delete(name)
    this.#kept.set(name, known === undefined ? use : mergeUse(known, use))
    if (this.#kept.size <= MAX_KEPT) return
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined) this.#kept.delete(oldest)
  }

  /** @param known what counts until now, read a moment ago: what has come since counts on */
  #set(holder: Holder, known: QuotaUse, use: QuotaUse): void {
    holder.startMs = use.startMs
    holder.behindSinceMs = null
    this.#ledger.change(holder.slot, holder.quota.limitBytes, use.usedBytes - known.usedBytes)
    this.#lookForEnd(holder)
  }

  #readUse({ slot, quota, startMs }: Holder): QuotaUse {
    return { period: quota.period, startMs, usedBytes: this.#ledger.readUsed(slot) }
  }

  #behindMs(holder: Holder, nowMs: number): number {
    if (nowMs >= holder.startMs) holder.behindSinceMs = null
    else holder.behindSinceMs ??= this.#readMonotonicMs()
    return holder.behindSinceMs === null ? 0 : this.#readMonotonicMs() - holder.behindSinceMs
  }

  #lookForEnd(holder: Holder): void {
    const isOver = this.#ledger.settle(holder.slot)
    if (isOver === holder.isOver) return
    holder.isOver = isOver
    if (!isOver) return
    const { name, slot, quota, startMs } = holder
    const renewsMs = endOf(quota.period, startMs)
    this.#log.info(
      {
        user: name,
        quota: quota.limitBytes,
        used: this.#ledger.readUsed(slot),
        period: quota.period,
        renews: renewsMs === Infinity ? null : new Date(renewsMs).toISOString(),
      },
      'the quota of a user is used up',
    )
  }
}
