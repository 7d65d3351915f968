import { addTotals, NOTHING, type Totals } from './state-file/totals.ts'

/** Names that are in no configuration any more but may come back; the ones seen last are kept. */
const MAX_ABSENT = 10_000

/** What users have moved before the ledger began to count them: before the start, or before they were taken out. */
export class UserTotals {
  readonly #before: Map<string, Totals>
  /** Whether a user who comes back finds the old totals. */
  readonly #remembers: boolean

  constructor(remembers: boolean) {
    this.#before = new Map()
    this.#remembers = remembers
  }

  /** Take in what was counted elsewhere: before the start, or by a process that drains. */
  add(counted: ReadonlyMap<string, Totals>): void {
    for (const [name, totals] of counted)
      this.#before.set(name, addTotals(this.#before.get(name) ?? NOTHING, totals))
  }

  /** Everything the user has moved: what the ledger counts is added to what was before. */
  total<T extends Totals>(name: string, counted: T): T {
    const before = this.#before.get(name)
    return before === undefined ? counted : { ...counted, ...addTotals(before, counted) }
  }

  /** The user is taken out, and the ledger will forget what it has counted. */
  leave(name: string, counted: Totals): void {
    if (this.#remembers) this.#before.set(name, addTotals(this.#before.get(name) ?? NOTHING, counted))
  }

  /** For the state file: the users of the configuration, then those who may come back. */
  listAll(counted: ReadonlyMap<string, Totals>): ReadonlyMap<string, Totals> {
    const all = new Map(Array.from(counted, ([name, totals]) => [name, this.total(name, totals)]))
    const absent = [...this.#before].filter(([name]) => !counted.has(name))
    absent.sort(([, a], [, b]) => (b.lastSeenMs ?? 0) - (a.lastSeenMs ?? 0))
    for (const [name] of absent.splice(MAX_ABSENT)) this.#before.delete(name)
    for (const [name, totals] of absent) all.set(name, totals)
    return all
  }
}
