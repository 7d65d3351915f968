import pLimit, { type LimitFunction } from 'p-limit'
import type { IpListConfig, IpListSource } from '#shared/config'
import type { MergedList } from '#shared/ip-list'
import { type ListName, ListSource, type ListTools, type SourceCopy } from './list-source.ts'

/** A source that fails is asked again after this, then after twice as long each time, up to the maximum. */
const FIRST_RETRY_MS = 2000
const MAX_RETRY_MS = 10 * 60_000

export interface UpdaterOptions {
  readonly name: ListName
  readonly config: IpListConfig
  /** Nothing is told before every source was asked once: half an allowlist would turn away those of the other half. */
  readonly waitsForAll: boolean
  readonly tools: ListTools
  /** What is left of the sources of an earlier configuration. */
  readonly copyOf: (source: IpListSource) => SourceCopy | null
  readonly onMerged: (list: MergedList) => void
  readonly onFailure: () => void
  /** Rejects when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>
}

/** Keeps the sources of one list up to date, each on its own, and makes the list of what they say. */
export class ListUpdater {
  readonly #options: Omit<UpdaterOptions, 'copyOf'>
  readonly #sources: readonly ListSource[]
  readonly #untried: Set<ListSource>
  readonly #failures: Map<ListSource, number>
  readonly #downloads: LimitFunction
  readonly #stopping: AbortController
  readonly #loaded: PromiseWithResolvers<void>
  /** A copy is another one than the list was made of. */
  #isStale: boolean
  /** The merge that goes on, and the one that waits for it. */
  #merging: Promise<unknown>
  #nextMerge: Promise<boolean> | null

  // `copyOf` leads to the updater before, which led to the one before that: asked now, and not kept.
  constructor({ copyOf, ...options }: UpdaterOptions) {
    const { name, config, tools } = options
    this.#options = options
    this.#sources = config.sources.map((source) => new ListSource(name, source, copyOf(source), tools))
    this.#untried = new Set(this.#sources)
    this.#failures = new Map()
    this.#downloads = pLimit(config.downloadConcurrency)
    this.#stopping = new AbortController()
    this.#loaded = Promise.withResolvers()
    this.#isStale = false
    this.#merging = Promise.resolve()
    this.#nextMerge = null
  }

  /** Resolves with the first list, be it of downloads, of copies, or of what there was when time was up. */
  get loaded(): Promise<void> {
    return this.#loaded.promise
  }

  copyOf(source: IpListSource): SourceCopy | null {
    return this.#sources.find((each) => isSame(each.source, source))?.copy ?? null
  }

  /**
   * Begin to keep the list up to date.
   * @returns when all that this host has is taken up: files, and copies of earlier downloads
   */
  async start(): Promise<void> {
    const waits = await Promise.all(
      this.#sources.map(async (source) => {
        if (source.source.kind === 'file') return this.#attempt(source)
        await source.restore()
        return 0
      }),
    )
    // A copy is as good as an answer. Without any source the list is there too: it is empty.
    const copied = this.#sources.filter(({ copy }) => copy !== null)
    for (const source of copied) this.#untried.delete(source)
    if (copied.length > 0 || this.#sources.length === 0) this.#isStale = true
    await this.#mergeIfReady()
    for (const [at, source] of this.#sources.entries()) void this.#keep(source, waits[at] ?? 0)
  }

  /** Whether any source has said something, now or on an earlier day. */
  get hasCopies(): boolean {
    return this.#sources.some(({ copy }) => copy !== null)
  }

  /** Waiting has lasted long enough: no source is waited for any more, and the list is what there is. */
  async settle(): Promise<void> {
    this.#untried.clear()
    await this.#merge()
    this.#loaded.resolve()
  }

  /** The operator has asked: look at the files now, not when it is their time. */
  async rereadFiles(): Promise<void> {
    const files = this.#sources.filter(({ source }) => source.kind === 'file')
    await Promise.all(files.map((file) => this.#attempt(file)))
    await this.#mergeIfReady()
  }

  stop(): void {
    this.#stopping.abort()
  }

  async #keep(source: ListSource, firstWaitMs: number): Promise<void> {
    const { signal } = this.#stopping
    let waitMs = firstWaitMs
    while (!signal.aborted) {
      try {
        if (waitMs > 0) await this.#options.sleep(waitMs, signal)
      } catch {
        return // told to stop
      }
      waitMs = await this.#attempt(source)
      if (!(await this.#mergeIfReady())) waitMs = Math.min(waitMs, FIRST_RETRY_MS)
    }
  }

  /** @returns how long to wait for the next attempt */
  async #attempt(source: ListSource): Promise<number> {
    const { config, tools, onFailure } = this.#options
    const { signal } = this.#stopping
    try {
      const isNew = await this.#downloads(() => source.refresh(signal))
      if (isNew) this.#isStale = true
      else tools.log.debug(source.fields, 'ip list has not changed')
      this.#failures.delete(source)
      return config.updateEachMs
    } catch (error) {
      if (signal.aborted) return config.updateEachMs
      const failures = this.#failures.get(source) ?? 0
      this.#failures.set(source, failures + 1)
      const retryMs = Math.min(FIRST_RETRY_MS * 2 ** failures, MAX_RETRY_MS, config.updateEachMs)
      const reason = error instanceof Error ? error.message : String(error)
      const kept = source.copy?.networkCount ?? 0
      tools.log.warn({ ...source.fields, error: reason, kept, retry_in_ms: retryMs }, 'update has failed')
      onFailure()
      return retryMs
    } finally {
      this.#untried.delete(source)
    }
  }

  /** False when the list should be another one and could not be made. */
  async #mergeIfReady(): Promise<boolean> {
    const isReady = !this.#options.waitsForAll || this.#untried.size === 0
    return !this.#isStale || !isReady || (await this.#merge())
  }

  /** One at a time; whoever comes while one goes on shares the next. */
  #merge(): Promise<boolean> {
    this.#nextMerge ??= this.#merging.then(() => {
      this.#nextMerge = null
      const merging = this.#mergeNow()
      this.#merging = merging
      return merging
    })
    return this.#nextMerge
  }

  async #mergeNow(): Promise<boolean> {
    const { name, tools, onMerged } = this.#options
    this.#isStale = false
    const sets = this.#sources.flatMap(({ copy }) => (copy === null ? [] : [copy.networks]))
    try {
      const list = await tools.tasks.run('merge-ip-lists', sets)
      if (this.#stopping.signal.aborted) return true
      onMerged(list)
      this.#loaded.resolve()
      return true
    } catch (error) {
      this.#isStale = true
      if (!this.#stopping.signal.aborted)
        tools.log.error({ ip_list: name, error }, 'cannot compile an ip list')
      return false
    }
  }
}

function isSame(a: IpListSource, b: IpListSource): boolean {
  return a.kind === 'url' ? b.kind === 'url' && a.url === b.url : b.kind === 'file' && a.path === b.path
}
