import { isDeepStrictEqual } from 'node:util'
import type { DefenseConfig, IpListConfig } from '#shared/config'
import { IpFilter, type IpFilterValues, type IpListInForce } from '#shared/ip-filter'
import type { MergedList } from '#shared/ip-list'
import { createRangesMemory } from '#shared/ip-ranges'
import type { CounterRow } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import type { ListName, ListTools } from './list-source.ts'
import { ListUpdater, type UpdaterOptions } from './list-updater.ts'

/**
 * How long an enabled list of which there is no copy yet is waited for (decision W14, "startup-wait"): the start waits
 * for the allowlist, a reload keeps what was in force. Three attempts of a slow source fit in.
 */
export const LOAD_LIMIT_MS = 30_000
/** What the reference tells of a disabled allowlist: 0.0.0.0/0 and ::/0 (operator.md §7.1). */
const EVERYBODY_NETWORKS = 2

export interface IpListsOptions {
  readonly config: DefenseConfig
  readonly tools: ListTools
  /** The primary's. */
  readonly counters: CounterRow
  /** For the other threads. */
  readonly onChange: (values: IpFilterValues) => void
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>
}

/** The allowlist and the blocklist: what is in force, and how it stays up to date. */
export class IpLists {
  /** The primary's own. */
  readonly filter: IpFilter
  readonly #allowlist: IpList
  readonly #blocklist: IpList

  constructor(options: IpListsOptions) {
    const onChange = (): void => {
      this.filter.set(this.values)
      options.onChange(this.values)
    }
    const { config } = options
    this.#allowlist = new IpList('allowlist', config.allowlist, { ...options, onChange })
    this.#blocklist = new IpList('blocklist', config.blocklist, { ...options, onChange })
    this.filter = new IpFilter(this.values)
  }

  get values(): IpFilterValues {
    return { allowlist: this.#allowlist.inForce, blocklist: this.#blocklist.inForce }
  }

  /**
   * Begin to keep both up to date.
   * @param hurry ends the waiting
   * @returns when connections may be let in: what this host has of the lists is in force, and an allowlist has been
   *   loaded or waited for long enough. Never rejects
   */
  async start(hurry: AbortSignal): Promise<void> {
    await Promise.all([this.#allowlist.start(), this.#blocklist.start()])
    const { promise, resolve } = Promise.withResolvers<void>()
    hurry.addEventListener('abort', () => resolve(), { once: true })
    if (!hurry.aborted) await Promise.race([this.#allowlist.loaded, promise])
  }

  /** Take up a changed configuration. Files of lists that stay as they are are looked at again. */
  setConfig({ allowlist, blocklist }: DefenseConfig): void {
    this.#allowlist.setConfig(allowlist)
    this.#blocklist.setConfig(blocklist)
  }

  stop(): void {
    this.#allowlist.stop()
    this.#blocklist.stop()
  }
}

type ListOptions = Omit<IpListsOptions, 'onChange' | 'config'> & { readonly onChange: () => void }

/** One of them, through all its configurations. */
class IpList {
  readonly #name: ListName
  readonly #options: ListOptions
  readonly #size: number
  readonly #failures: number
  #config: IpListConfig
  /** null: disabled. */
  #updater: ListUpdater | null
  #inForce: IpListInForce | null
  /** What is in force was loaded, under this configuration or an earlier one. */
  #isLoaded: boolean
  /** Ends with the updater. */
  #life: AbortController

  constructor(name: ListName, config: IpListConfig, options: ListOptions) {
    this.#name = name
    this.#options = options
    this.#size = slot('iplist_size', { ip_list: name })
    this.#failures = slot('iplist_update_failures', { ip_list: name })
    this.#config = config
    this.#updater = null
    this.#isLoaded = false
    this.#life = new AbortController()
    // Until it is loaded, an allowlist lets nobody in and a blocklist refuses nobody.
    this.#inForce = config.enabled
      ? { ranges: createRangesMemory({ v4: 0, v6: 0 }), action: config.action }
      : null
    if (!config.enabled) this.#options.counters.set(this.#size, this.#disabledSize)
  }

  get inForce(): IpListInForce | null {
    return this.#inForce
  }

  /** Resolves when the list that is configured now is in force. */
  get loaded(): Promise<void> {
    return this.#updater?.loaded ?? Promise.resolve()
  }

  get #disabledSize(): number {
    return this.#name === 'allowlist' ? EVERYBODY_NETWORKS : 0
  }

  /** @returns when what this host has of it is in force */
  async start(): Promise<void> {
    if (!this.#config.enabled) return
    const updater = this.#createUpdater(this.#config)
    void this.#limitWait(updater, this.#life.signal)
    await updater.start()
  }

  setConfig(config: IpListConfig): void {
    if (isDeepStrictEqual(config, this.#config)) {
      void this.#updater?.rereadFiles()
      return
    }
    this.stop()
    this.#config = config
    this.#life = new AbortController()
    if (config.enabled) {
      // What was in force stays so until the new list is there.
      void this.start()
      return
    }
    this.#updater = null
    this.#inForce = null
    this.#isLoaded = false
    this.#options.counters.set(this.#size, this.#disabledSize)
    this.#options.onChange()
  }

  stop(): void {
    this.#life.abort()
    this.#updater?.stop()
  }

  #createUpdater(config: IpListConfig): ListUpdater {
    const { tools, counters, sleep } = this.#options
    this.#updater = new ListUpdater({
      name: this.#name,
      config,
      waitsForAll: this.#name === 'allowlist',
      tools,
      copyOf: copiesOf(this.#updater),
      onMerged: (list) => this.#enforce(list, config),
      onFailure: () => counters.add(this.#failures, 1),
      sleep,
    })
    return this.#updater
  }

  #enforce({ ranges, networkCount, rangeCount }: MergedList, { action }: IpListConfig): void {
    this.#inForce = { ranges, action }
    this.#isLoaded = true
    const { counters, tools, onChange } = this.#options
    counters.set(this.#size, networkCount)
    tools.log.info({ ip_list: this.#name, networks: networkCount, ranges: rangeCount }, 'ip list was updated')
    onChange()
  }

  /**
   * A list that does not come is in force all the same, after a while, with what there is of it. Unless that is nothing
   * and there was a list before: a slip in a URL must not turn everybody away.
   */
  async #limitWait(updater: ListUpdater, life: AbortSignal): Promise<void> {
    const { sleep, tools } = this.#options
    const waiting = new AbortController()
    const late = sleep(LOAD_LIMIT_MS, AbortSignal.any([life, waiting.signal])).then(
      () => true,
      () => false, // the list came, or nobody waits for it any more
    )
    const isLate = await Promise.race([late, updater.loaded.then(() => false)])
    waiting.abort()
    if (!isLate) return
    const stays = this.#isLoaded && !updater.hasCopies
    const consequence = stays ? 'the one before stays in force' : 'what there is of it is in force'
    const fields = { ip_list: this.#name, waited_ms: LOAD_LIMIT_MS }
    tools.log.warn(fields, `ip list could not be loaded in time: ${consequence}`)
    if (!stays) await updater.settle()
  }
}

/** On its own, because functions that are made in one place hold on to all that any of them uses. */
function copiesOf(updater: ListUpdater | null): UpdaterOptions['copyOf'] {
  return (source) => updater?.copyOf(source) ?? null
}
