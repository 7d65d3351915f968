import { DcUpdater, type DcUpdaterOptions } from './dc-updater.ts'

/** `onUpdate` is told what holds now: addresses that were fetched, or none once it is off. */
export type AutoUpdateOptions = Omit<DcUpdaterOptions, 'intervalMs' | 'firstRetryMs'>

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
