import type { CounterRow } from '#shared/state/counters'
import type { CtrStream } from './obfuscated2/ctr-stream.ts'

/** What one connection has taken, to be given back when it closes. */
export class Holdings {
  readonly #counters: CounterRow
  /** Gauges to lower. */
  readonly #raised: number[]
  readonly #borrowed: (() => void)[]
  #isOver: boolean

  constructor(counters: CounterRow) {
    this.#counters = counters
    this.#raised = []
    this.#borrowed = []
    this.#isOver = false
  }

  /** Hold something until the connection closes; given back at once when it has closed meanwhile. */
  borrow(giveBack: () => void): void {
    if (this.#isOver) giveBack()
    else this.#borrowed.push(giveBack)
  }

  /** Close a cipher stream with the connection. */
  hold(stream: CtrStream): CtrStream {
    this.borrow(() => stream.close())
    return stream
  }

  /** Raise a gauge until the connection closes. */
  raise(gauge: number): void {
    if (this.#isOver) return
    this.#counters.add(gauge, 1)
    this.#raised.push(gauge)
  }

  /** The gauge was raised and does not apply any more. */
  lower(gauge: number): void {
    const at = this.#raised.indexOf(gauge)
    if (at < 0) return
    this.#raised.splice(at, 1)
    this.#counters.add(gauge, -1)
  }

  /** The connection closes. To be called once. */
  giveBackAll(): void {
    this.#isOver = true
    for (const gauge of this.#raised) this.#counters.add(gauge, -1)
    for (const giveBack of this.#borrowed) giveBack()
  }
}
