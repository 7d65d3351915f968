import type { Logger } from 'pino'
import type { DcTable } from '#shared/dc'
import { DcUpdater, type PublishedUrls } from './dc-updater.ts'
import type { HttpDial } from './http-dial.ts'

export interface AutoUpdateOptions {
  readonly log: Logger
  readonly timeoutMs: () => number
  readonly dial: () => HttpDial
  /** What holds now: addresses that were fetched, or none once it is off. */
  readonly onUpdate: (published: DcTable) => void
  readonly onFailure: () => void
  /** In place of Telegram's own site. */
  readonly urls?: PublishedUrls
}

/** `auto-update`: on or off, as the configuration says now. What was fetched goes with it. */
export class AutoUpdate {
  readonly #options: AutoUpdateOptions
  #updater: DcUpdater | null

  constructor(options: AutoUpdateOptions) {
    this.#options = options
    this.#updater = null
  }

  setOn(isOn: boolean): void {
    if (isOn === (this.#updater !== null)) return
    if (isOn) {
      this.#updater = new DcUpdater(this.#options)
      this.#updater.start()
      return
    }
    this.stop()
    this.#options.onUpdate({})
  }

  /** Fetch no more; what was fetched stays. */
  stop(): void {
    this.#updater?.stop()
    this.#updater = null
  }
}
