import type { Logger } from 'pino'
import type { IpListSource } from '#shared/config'
import type { CompiledSource, NetworkSet } from '#shared/ip-list'
import { showUrl } from '#shared/show-url'
import type { TaskPool } from '../task-pool.ts'
import { type FetchList, MAX_SOURCE_BYTES, type Validators } from './fetch-list.ts'
import type { ListCache } from './list-cache.ts'
import { readFileText } from './read-file.ts'

export type ListName = 'allowlist' | 'blocklist'

/** What a list's sources are fetched, compiled and kept with. */
export interface ListTools {
  readonly tasks: Pick<TaskPool, 'run'>
  readonly fetch: FetchList
  readonly cache: ListCache
  readonly log: Logger
}

/** The last good copy of a source. */
export interface SourceCopy {
  readonly networks: NetworkSet
  readonly networkCount: number
  /** Which version of the source it is: of a download, and of a file. */
  readonly validators: Validators | null
  readonly stamp: string | null
}

/** One source of a list: gets what it says now, and keeps the last copy that was good, whatever happens to it later. */
export class ListSource {
  readonly source: IpListSource
  /** Which list and which source of it, for the log: without credentials and query. */
  readonly fields: { readonly ip_list: ListName; readonly filename: string }
  readonly #tools: ListTools
  #copy: SourceCopy | null

  /** @param copy what an earlier configuration had of the same source */
  constructor(list: ListName, source: IpListSource, copy: SourceCopy | null, tools: ListTools) {
    this.source = source
    this.fields = { ip_list: list, filename: source.kind === 'url' ? showUrl(source.url) : source.path }
    this.#tools = tools
    this.#copy = copy
  }

  get copy(): SourceCopy | null {
    return this.#copy
  }

  /** Take up the copy of an earlier download, if there is one on disk and none here. Never rejects. */
  async restore(): Promise<void> {
    if (this.source.kind !== 'url' || this.#copy !== null) return
    const cached = await this.#tools.cache.read(this.source.url)
    if (cached === null) return
    try {
      this.#copy = { ...(await this.#compile(cached.text)), validators: cached.validators, stamp: null }
    } catch (error) {
      this.#tools.log.warn({ ...this.fields, error }, 'the copy on disk is of no use')
    }
  }

  /**
   * Get it as it is now.
   * @returns whether the copy is another one than before
   * @throws Error with the reason; the copy is what it was
   */
  async refresh(signal: AbortSignal): Promise<boolean> {
    const { source } = this
    return source.kind === 'url' ? this.#download(source.url, signal) : this.#readFile(source.path, signal)
  }

  async #download(url: string, signal: AbortSignal): Promise<boolean> {
    const { fetch, cache } = this.#tools
    const fetched = await fetch(url, this.#copy?.validators ?? null, signal)
    if (fetched.kind === 'unchanged') {
      await cache.touch(url)
      return false
    }
    const { text, validators } = fetched
    const compiled = await this.#compile(text)
    signal.throwIfAborted()
    this.#copy = { ...compiled, validators, stamp: null }
    await cache.write(url, { text, validators })
    return true
  }

  async #readFile(path: string, signal: AbortSignal): Promise<boolean> {
    const file = await readFileText(path, MAX_SOURCE_BYTES, this.#copy?.stamp ?? null)
    if (file === null) return false
    const compiled = await this.#compile(file.text)
    signal.throwIfAborted()
    this.#copy = { ...compiled, validators: null, stamp: file.stamp }
    return true
  }

  async #compile(text: Buffer): Promise<Pick<CompiledSource, 'networks' | 'networkCount'>> {
    const { tasks, log } = this.#tools
    const compiled = await tasks.run('compile-ip-list', { text })
    const { networks, networkCount, badLineCount, badLines } = compiled
    if (badLineCount > 0) {
      const first = badLines.map(({ line, text: shown }) => `${line}: ${shown}`)
      log.warn(
        { ...this.fields, lines: badLineCount, first },
        'ip list has lines that are no networks; they are skipped',
      )
    }
    return { networks, networkCount }
  }
}
