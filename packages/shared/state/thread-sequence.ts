import { THREAD_SEQUENCE, threadStart } from './ledger-layout.ts'
import type { LedgerView } from './ledger-memory.ts'

/** Tells the primary, who repairs what dead threads left, that a thread is between two writes: see ledger-repair.ts. */
export class ThreadSequence {
  readonly #view: LedgerView
  readonly #cell: number

  constructor(view: LedgerView, thread: number) {
    this.#view = view
    this.#cell = threadStart(thread) + THREAD_SEQUENCE
  }

  /** Hot. Writes that belong together follow, up to `end`. */
  begin(): void {
    Atomics.add(this.#view.cells, this.#cell, 1)
  }

  /** Hot. */
  end(): void {
    Atomics.add(this.#view.cells, this.#cell, 1)
  }
}
