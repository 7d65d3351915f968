import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import type { TaskPool } from '../task-pool.ts'
import { createFetchList, type HttpGet } from './fetch-list.ts'
import { IpLists, type IpListsOptions } from './ip-lists.ts'
import { listCacheDirectories, ListCache } from './list-cache.ts'

export interface CreateIpListsOptions extends Pick<IpListsOptions, 'counters' | 'onChange'> {
  readonly config: Pick<ProxyConfig, 'defense' | 'stateFile'>
  /** Where downloads may be kept over restarts, in place of the usual places. */
  readonly cacheDirectories?: readonly string[]
  readonly tasks: TaskPool
  readonly get: HttpGet
  /** Of one download; asked before each. */
  readonly timeoutMs: () => number
  readonly log: Logger
}

/** The lists of a running proxy, with everything that they need of it. */
export function createIpLists(options: CreateIpListsOptions): IpLists {
  const { config, cacheDirectories, tasks, get, timeoutMs, counters, onChange, log } = options
  const directories = cacheDirectories ?? listCacheDirectories(config.stateFile, process.env)
  return new IpLists({
    config: config.defense,
    tools: { tasks, fetch: createFetchList(get, timeoutMs), cache: new ListCache(directories, log), log },
    counters,
    onChange,
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  })
}
