import type { Logger } from 'pino'
import type { Predecessor } from './predecessor.ts'
import type { ReplayExchange } from './replay-exchange.ts'

/** The replay set comes over, which takes a moment for each million of entries. */
const PREPARE_LIMIT_MS = 60_000
/** The other process only writes a file before it answers. After this it is taken for hung. */
const ANSWER_LIMIT_MS = 15_000

export interface TakeOverOptions {
  /** null: there is no replay set. */
  readonly exchange: ReplayExchange | null
  /** The other process has let go of state file and operators' servers. */
  readonly onReleased: () => Promise<void>
  readonly log: Pick<Logger, 'error'>
  /** In place of a minute and 15 s. */
  readonly limits?: { readonly prepareMs: number; readonly answerMs: number }
}

const LIMITS = { prepareMs: PREPARE_LIMIT_MS, answerMs: ANSWER_LIMIT_MS }

/** Takes the place of a running process, step by step: see messages.ts. */
export class TakeOver {
  readonly #predecessor: Predecessor
  readonly #options: TakeOverOptions

  constructor(predecessor: Predecessor, options: TakeOverOptions) {
    this.#predecessor = predecessor
    this.#options = options
    predecessor.onHellos = (entries) => options.exchange?.take(entries)
    void predecessor.gone.then(() => options.exchange?.stop())
  }

  /** Everything stands: learn what only the other one knows. @throws Error when it does not answer */
  async prepare(): Promise<void> {
    await this.#predecessor.ask({ type: 'standing' }, 'accept', this.#limits.prepareMs)
    this.#options.exchange?.skip()
    this.#options.exchange?.start()
  }

  /** We accept: from here on there is no way back, so nothing in here ends the process. */
  async complete(): Promise<void> {
    const { log, onReleased } = this.#options
    try {
      await this.#predecessor.ask({ type: 'serving' }, 'released', this.#limits.answerMs)
    } catch (error) {
      log.error({ error: String(error) }, 'the process before does not let go, going on without it')
    }
    try {
      await onReleased()
    } catch (error) {
      log.error({ error }, 'cannot take over everything from the process before')
    }
  }

  get #limits(): NonNullable<TakeOverOptions['limits']> {
    return this.#options.limits ?? LIMITS
  }

  stop(): void {
    this.#options.exchange?.stop()
  }
}
