import type { Stats } from 'node:fs'
import { readFile, rename, stat } from 'node:fs/promises'
import type { Logger } from 'pino'
import { OperatorError } from '#shared/errors'
import { findExposure, ownUid } from '../file-exposure.ts'
import { OwnerLock } from './owner-lock.ts'
import { formatTotals, parseTotals, type Totals } from './totals.ts'
import { writeAtomically } from './write-atomically.ts'

/** What a crash of the machine may cost (the end of the process saves by itself). */
const SAVE_EACH_MS = 30_000
/** MAX_USERS users have about 20 MB; what is larger is not ours. */
const MAX_FILE_BYTES = 128 * 1024 * 1024

export interface StateFileOptions {
  readonly path: string
  readonly log: Logger
  /** A save that failed. */
  readonly onFailure: () => void
}

/** The file that keeps users' totals over restarts (decision O11). One process owns it. */
export class StateFile {
  /** What stood in it at the start. */
  readonly restored: ReadonlyMap<string, Totals>
  readonly #options: StateFileOptions
  readonly #lock: OwnerLock
  #timer: NodeJS.Timeout | null
  /** The text that is on the disk. */
  #saved: string
  /** Saves follow one another. */
  #saving: Promise<void>
  /** Saves that are not done. */
  #pending: number
  #isFailing: boolean

  private constructor(options: StateFileOptions, lock: OwnerLock, restored: ReadonlyMap<string, Totals>) {
    this.#options = options
    this.#lock = lock
    this.restored = restored
    this.#timer = null
    this.#saved = formatTotals(restored)
    this.#saving = Promise.resolve()
    this.#pending = 0
    this.#isFailing = false
  }

  /**
   * Become the owner and read what is there. A file that cannot be understood is set aside with a warning.
   * @throws OperatorError when another process is the owner, or the file or its directory cannot be used
   */
  static async open(options: StateFileOptions): Promise<StateFile> {
    const { path } = options
    const lock = await takeLock(path)
    try {
      return new StateFile(options, lock, await readTotals(options))
    } catch (cause) {
      await lock.release()
      throw cannotUse(path, cause)
    }
  }

  /** Save what `read` returns each 30 s, if anything has changed and the disk is done with the save before. */
  keepSaving(read: () => ReadonlyMap<string, Totals>): void {
    this.#timer = setInterval(() => {
      if (this.#pending === 0) void this.save(read())
    }, SAVE_EACH_MS)
  }

  /** A failure is logged once, until it works again. */
  save(totals: ReadonlyMap<string, Totals>): Promise<void> {
    this.#pending += 1
    this.#saving = this.#saving
      .then(() => this.#write(formatTotals(totals)))
      .finally(() => {
        this.#pending -= 1
      })
    return this.#saving
  }

  /** Save a last time and let go of the file. */
  async close(totals: ReadonlyMap<string, Totals>): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.save(totals)
    await this.#lock.release()
  }

  async #write(text: string): Promise<void> {
    if (text === this.#saved && !this.#isFailing) return
    const { path, log, onFailure } = this.#options
    try {
      await writeAtomically(path, text)
      this.#saved = text
      if (this.#isFailing) log.info({ file: path }, 'the state file is written again')
      this.#isFailing = false
    } catch (error) {
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

async function readTotals({ path, log }: StateFileOptions): Promise<ReadonlyMap<string, Totals>> {
  const found = await readIfThere(path)
  if (found === null) return new Map()
  const { text, stats } = found
  const exposure = findExposure(stats, ownUid())
  if (exposure !== null)
    log.warn(
      { file: path, mode: exposure.mode },
      `others on this host can ${exposure.others} the state file: chmod 600 ${path}`,
    )
  const totals = parseTotals(text)
  if (totals !== null) return totals
  const aside = `${path}.broken-${Date.now()}`
  await rename(path, aside)
  log.warn({ file: path, moved_to: aside }, 'the state file cannot be understood and was set aside')
  return new Map()
}

/** null when there is no such file; empty text when it is too large to be ours. */
async function readIfThere(path: string): Promise<{ text: string; stats: Stats } | null> {
  try {
    const stats = await stat(path)
    return { stats, text: stats.size > MAX_FILE_BYTES ? '' : await readFile(path, 'utf8') }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function cannotUse(path: string, cause: unknown): OperatorError {
  return new OperatorError(
    `cannot use state-file ${path}: ${describe(cause)}; its directory must exist and be writable`,
    { cause },
  )
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
