import type { Logger } from 'pino'
import { DrainWriter } from './drained-totals.ts'
import { StateFile } from './state-file.ts'
import type { Totals } from './totals.ts'

/** How late the owner learns of the traffic of a process that drains; what a kill may cost of it. */
const PART_EACH_MS = 2_000
/** The process before us lets go of the file within milliseconds. If it hangs, this goes on until it is gone. */
const ADOPT_RETRY_MS = 1_000

export interface TotalsKeeperOptions {
  /** Of the state file; null when there is none: then nothing here does anything. */
  readonly path: string | null
  readonly log: Logger
  /** All totals of all users, as they are now. */
  readonly read: () => ReadonlyMap<string, Totals>
  /** What was counted before, or elsewhere, and is part of `read` from then on. */
  readonly add: (totals: ReadonlyMap<string, Totals>) => void
  readonly onFailure: () => void
}

/**
 * Keeps totals over the end of the process (decision O11): as the owner of the state file, or, before it has become that
 * and after it has handed it over, by files beside it that the owner takes in.
 */
export class TotalsKeeper {
  readonly #options: TotalsKeeperOptions
  #owned: StateFile | null
  #writer: DrainWriter | null
  #timer: NodeJS.Timeout | null
  #closing: Promise<void> | null
  /** One change of ownership at a time. */
  #changing: Promise<void>

  constructor(options: TotalsKeeperOptions) {
    this.#options = options
    this.#owned = null
    this.#writer = null
    this.#timer = null
    this.#closing = null
    this.#changing = Promise.resolve()
  }

  /** Whether there is anything to hand over, and it is ours. */
  get isOwner(): boolean {
    return this.#options.path === null || this.#owned !== null
  }

  /** Become the owner. @throws OperatorError when the file cannot be had */
  async open(): Promise<void> {
    const { path, log, read, add, onFailure } = this.#options
    if (path === null) return
    const owned = await StateFile.open({ path, log, onFailure })
    add(owned.restored)
    owned.keepSaving(read, add)
    this.#owned = owned
    this.#writer = null
  }

  /** Somebody else still owns it: what is counted until `adopt` is added to theirs if we end before. */
  wait(): void {
    const { path } = this.#options
    if (path !== null) this.#writer = new DrainWriter(path, new Map())
  }

  /** The owner before has let go: become it. If that does not work, it is tried again until it does. */
  async adopt(): Promise<void> {
    if (this.isOwner) return
    try {
      await this.#tryToAdopt()
    } catch (error) {
      this.#options.log.error({ error }, 'cannot take over the state file, trying again')
      this.#timer = setInterval(() => {
        if (this.isOwner && this.#timer !== null) clearInterval(this.#timer)
        else this.#tryToAdopt().catch(() => {}) // said once
      }, ADOPT_RETRY_MS)
    }
  }

  async #tryToAdopt(): Promise<void> {
    if (this.#closing !== null) return
    const opening = this.open()
    this.#changing = opening.catch(() => {})
    await opening
  }

  /** Let go of the file; what is counted from now on goes beside it. */
  async release(): Promise<void> {
    const { path, read } = this.#options
    if (path === null || this.#owned === null) return
    const owned = this.#owned
    this.#owned = null
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#changing = owned.close(read).then((saved) => {
      this.#writer = new DrainWriter(path, saved)
    })
    await this.#changing
    if (this.#closing === null) this.#timer = setInterval(() => void this.#write(false), PART_EACH_MS)
  }

  /** Save now: the end may come at any time. */
  async save(): Promise<void> {
    await this.#owned?.save(this.#options.read)
  }

  /** Save a last time. Whoever calls it again waits for the same end. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#changing
    const owned = this.#owned
    this.#owned = null
    await owned?.close(this.#options.read)
    await this.#write(true)
  }

  async #write(isFinal: boolean): Promise<void> {
    try {
      await this.#writer?.write(this.#options.read, isFinal)
    } catch (error) {
      this.#options.onFailure()
      this.#options.log.warn(
        { file: this.#options.path, error: String(error) },
        'cannot leave totals for the owner of the state file',
      )
    }
  }
}
