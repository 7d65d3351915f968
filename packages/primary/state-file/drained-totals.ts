/**
 * What a process has counted that does not own the state file: one that drains after an upgrade. It stands beside the
 * state file as `<state-file>.<pid>.<8 hex digits>` until the owner has taken it in (decision O11). Each file holds what
 * came since the one before, and no name is used twice, so that the owner can tell what it has taken in already.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { readSmallFile } from './read-small-file.ts'
import { formatTotals, mergeTotals, parseTotals, subtractTotals, type Totals } from './totals.ts'
import { writeAtomically } from './write-atomically.ts'

const SUFFIX = /^\.(\d{1,10}\.[0-9a-f]{8})$/

export interface DrainedFile {
  readonly path: string
  /** The part of its name behind that of the state file. */
  readonly id: string
}

export interface DrainedTotals {
  readonly files: readonly DrainedFile[]
  /** The sum of those that were not taken in before. */
  readonly totals: ReadonlyMap<string, Totals>
}

/** Writes what was counted since `base`, in parts. */
export class DrainWriter {
  readonly #statePath: string
  #base: ReadonlyMap<string, Totals>
  /** The owner has not taken it in yet as long as it is there. */
  #last: string | null
  /** Parts follow one another. */
  #writing: Promise<void>

  /** @param base what the owner knows already */
  constructor(statePath: string, base: ReadonlyMap<string, Totals>) {
    this.#statePath = statePath
    this.#base = base
    this.#last = null
    this.#writing = Promise.resolve()
  }

  /**
   * @param read all totals as they are when it is this part's turn
   * @param isFinal otherwise nothing is written before the owner has taken in the part before
   * @throws the system's error
   */
  write(read: () => ReadonlyMap<string, Totals>, isFinal: boolean): Promise<void> {
    const written = this.#writing.then(() => this.#writePart(read, isFinal))
    this.#writing = written.catch(() => {})
    return written
  }

  async #writePart(read: () => ReadonlyMap<string, Totals>, isFinal: boolean): Promise<void> {
    if (!isFinal && this.#last !== null && existsSync(this.#last)) return
    const totals = read()
    const news = subtractTotals(totals, this.#base)
    if (news.size === 0) return
    const path = `${this.#statePath}.${process.pid}.${randomBytes(4).toString('hex')}`
    await writeAtomically(path, formatTotals(news))
    this.#last = path
    this.#base = totals
  }
}

/**
 * Read what others have left.
 * @param known ids that were taken in before: their files only have to go
 * @throws the system's error when the directory cannot be read
 */
export async function readDrained(
  statePath: string,
  known: ReadonlySet<string>,
  log: Pick<Logger, 'warn'>,
): Promise<DrainedTotals> {
  const folder = dirname(statePath)
  const base = basename(statePath)
  const files: DrainedFile[] = []
  let totals: ReadonlyMap<string, Totals> = new Map()
  for (const name of await readdir(folder)) {
    const id = name.startsWith(base) ? SUFFIX.exec(name.slice(base.length))?.[1] : undefined
    if (id === undefined) continue
    const path = join(folder, name)
    if (!known.has(id)) {
      const part = parseTotals((await readSmallFile(path))?.text ?? '')
      if (part === null) {
        await rename(path, `${path}.broken`)
        log.warn(
          { file: path, moved_to: `${path}.broken` },
          'totals of a drained process cannot be understood and were set aside',
        )
        continue
      }
      totals = mergeTotals(totals, part)
    }
    files.push({ path, id })
  }
  return { files, totals }
}

/** They stand in the state file now. One that cannot be removed is known by its id. */
export async function removeDrained(files: readonly DrainedFile[]): Promise<void> {
  await Promise.all(files.map(({ path }) => unlink(path).catch(() => {})))
}
