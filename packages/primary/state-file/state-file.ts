import { rename } from 'node:fs/promises'
import type { Logger } from 'pino'
import { OperatorError } from '#shared/errors'
import { findExposure, ownUid } from '../file-exposure.ts'
import { readDrained, removeDrained } from './drained-totals.ts'
import { OwnerLock } from './owner-lock.ts'
import { readSmallFile } from './read-small-file.ts'
import { formatTotals, mergeTotals, parseFolded, parseTotals, type Totals } from './totals.ts'
import { writeAtomically } from './write-atomically.ts'

/** What a crash of the machine may cost (the end of the process saves by itself). */
const SAVE_EACH_MS = 30_000
/** How late `/stats` may be with the traffic of a process that drains. */
const FOLD_EACH_MS = 2_000

export interface StateFileOptions {
  readonly path: string
  readonly log: Logger
  /** A save that failed. */
  readonly onFailure: () => void
}

/** The file that keeps users' totals over restarts (decision O11). One process owns it. */
export class StateFile {
  /** What stood in it at the start, with what drained processes have left. */
  readonly restored: ReadonlyMap<string, Totals>
  readonly #options: StateFileOptions
  readonly #lock: OwnerLock
  readonly #timers: NodeJS.Timeout[]
  /** The text that is on the disk. */
  #saved: string
  /** The same as numbers. */
  #savedTotals: ReadonlyMap<string, Totals>
  /** Files of drained processes that are part of what is saved and may still be there. */
  #folded: ReadonlySet<string>
  /** Saves follow one another. */
  #saving: Promise<void>
  #isFailing: boolean

  private constructor(options: StateFileOptions, lock: OwnerLock, read: ReadState) {
    this.#options = options
    this.#lock = lock
    this.restored = read.totals
    this.#timers = []
    this.#folded = read.folded
    this.#savedTotals = read.totals
    this.#saved = formatTotals(read.totals, read.folded)
    this.#saving = Promise.resolve()
    this.#isFailing = false
  }

  /**
   * Become the owner, read what is there, and take in what drained processes have left beside it. A file that cannot be
   * understood is set aside with a warning.
   * @throws OperatorError when another process is the owner, or the file or its directory cannot be used
   */
  static async open(options: StateFileOptions): Promise<StateFile> {
    const { path, log } = options
    const lock = await takeLock(path)
    try {
      const kept = await readState(options)
      const { files, totals } = await readDrained(path, kept.folded, log)
      if (files.length === 0) return new StateFile(options, lock, { totals: kept.totals, folded: new Set() })
      const all = mergeTotals(kept.totals, totals)
      const folded = new Set(files.map(({ id }) => id))
      await writeAtomically(path, formatTotals(all, folded))
      await removeDrained(files)
      return new StateFile(options, lock, { totals: all, folded })
    } catch (cause) {
      await lock.release()
      throw cannotUse(path, cause)
    }
  }

  /**
   * Save what `read` returns each 30 s, if anything has changed, and take in what processes leave that drain; each only
   * if the disk is done with the last time.
   * @param add is given what such a process has counted; `read` has it from then on
   */
  keepSaving(read: ReadTotals, add: (drained: ReadonlyMap<string, Totals>) => void = () => {}): void {
    const repeat = (job: () => Promise<void>, eachMs: number): NodeJS.Timeout => {
      let isUnderWay = false
      return setInterval(() => {
        if (isUnderWay) return
        isUnderWay = true
        void this.#queue(job).finally(() => (isUnderWay = false))
      }, eachMs)
    }
    this.#timers.push(
      repeat(() => this.#write(read()), SAVE_EACH_MS),
      repeat(() => this.#fold(read, add), FOLD_EACH_MS),
    )
  }

  /** A failure is logged once, until it works again. What `read` returns when it is its turn is saved. */
  save(read: ReadTotals): Promise<void> {
    return this.#queue(() => this.#write(read()))
  }

  /**
   * Save a last time and let go of the file.
   * @returns what stands in it, which is less than `read` returned if it could not be written
   */
  async close(read: ReadTotals): Promise<ReadonlyMap<string, Totals>> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
    await this.save(read)
    await this.#lock.release()
    return this.#savedTotals
  }

  #queue(job: () => Promise<void>): Promise<void> {
    this.#saving = this.#saving.then(job).catch((error: unknown) => this.#fail(error)) // else no job would ever follow
    return this.#saving
  }

  async #fold(read: ReadTotals, add: (drained: ReadonlyMap<string, Totals>) => void): Promise<void> {
    if (this.#timers.length === 0) return // closed in the meantime: the next owner takes them in
    const { path, log } = this.#options
    const { files, totals } = await readDrained(path, this.#folded, log)
    if (files.length === 0) return
    const ids = files.map(({ id }) => id)
    const before = this.#folded
    const all = mergeTotals(read(), totals)
    // A crash in between does not count them twice, for their ids stand in the file with them, nor lose them.
    this.#folded = new Set([...before, ...ids])
    await this.#write(all)
    if (this.#isFailing) {
      this.#folded = before
      return
    }
    add(totals)
    await removeDrained(files)
    this.#folded = new Set(ids)
  }

  async #write(totals: ReadonlyMap<string, Totals>): Promise<void> {
    const text = formatTotals(totals, this.#folded)
    if (text === this.#saved && !this.#isFailing) return
    const { path, log } = this.#options
    try {
      await writeAtomically(path, text)
      this.#saved = text
      this.#savedTotals = totals
      if (this.#isFailing) log.info({ file: path }, 'the state file is written again')
      this.#isFailing = false
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    const { path, log, onFailure } = this.#options
    onFailure()
    if (!this.#isFailing) {
      log.warn(
        { file: path, error: describe(error) },
        'cannot write the state file: totals of users would not outlive the process',
      )
    }
    this.#isFailing = true
  }
}

type ReadTotals = () => ReadonlyMap<string, Totals>

interface ReadState {
  readonly totals: ReadonlyMap<string, Totals>
  readonly folded: ReadonlySet<string>
}

async function takeLock(path: string): Promise<OwnerLock> {
  let lock: OwnerLock | null
  try {
    lock = await OwnerLock.take(`${path}.lock`)
  } catch (cause) {
    throw cannotUse(path, cause)
  }
  if (lock === null) {
    throw new OperatorError(
      `cannot use state-file ${path}: another process uses it; give each proxy a file of its own`,
    )
  }
  return lock
}

async function readState({ path, log }: StateFileOptions): Promise<ReadState> {
  const nothing = { totals: new Map<string, Totals>(), folded: new Set<string>() }
  const found = await readSmallFile(path)
  if (found === null) return nothing
  const { text, stats } = found
  const exposure = findExposure(stats, ownUid())
  if (exposure !== null)
    log.warn(
      { file: path, mode: exposure.mode },
      `others on this host can ${exposure.others} the state file: chmod 600 ${path}`,
    )
  const totals = parseTotals(text)
  if (totals !== null) return { totals, folded: parseFolded(text) }
  const aside = `${path}.broken-${Date.now()}`
  await rename(path, aside)
  log.warn({ file: path, moved_to: aside }, 'the state file cannot be understood and was set aside')
  return nothing
}

function cannotUse(path: string, cause: unknown): OperatorError {
  const hint = cause instanceof OperatorError ? '' : '; its directory must exist and be writable'
  return new OperatorError(`cannot use state-file ${path}: ${describe(cause)}${hint}`, { cause })
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
