import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { httpGet } from '#primary/http-client'
import { createFetchList } from '#primary/ip-lists/fetch-list'
import { ListCache } from '#primary/ip-lists/list-cache'
import type { ListTools } from '#primary/ip-lists/list-source'
import { TaskPool } from '#primary/task-pool'
import type { IpListConfig, IpListSource } from '#shared/config'
import { createLogger } from '#shared/logger'
import { makeDirectory } from '../../support/make-directory.ts'

/** What tests of this folder share: the real tools of a list, on files of the test's own, and time that stands still. */

export const LIMIT = { timeout: 30_000 }

const tasks = new TaskPool()
after(() => tasks.close())

export interface Tools extends ListTools {
  readonly folder: string
  readonly logLines: () => Record<string, unknown>[]
}

/** @param folder of an earlier start, for a restart; default: a new one, which goes with the test */
export function createTools(
  t: TestContext,
  folder: string = createFolder(t),
  httpTimeoutMs: () => number = () => 10_000,
): Tools {
  const logFile = join(folder, 'log')
  const log = createLogger({ level: 'debug', destination: logFile, pretty: false })
  return {
    folder,
    tasks,
    fetch: createFetchList(httpGet, httpTimeoutMs),
    cache: new ListCache([join(folder, 'cache')], log),
    log,
    logLines: () =>
      readFileSync(logFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}

export function createFolder(t: TestContext): string {
  const folder = makeDirectory(t)
  return folder
}

export function configure(
  sources: readonly (string | IpListSource)[],
  overrides: Partial<IpListConfig> = {},
): IpListConfig {
  return {
    enabled: true,
    sources: sources.map((source) => (typeof source === 'string' ? { kind: 'url', url: source } : source)),
    downloadConcurrency: 2,
    updateEachMs: 86_400_000,
    action: 'close',
    ...overrides,
  }
}

interface Wait {
  readonly ms: number
  /** Its time has come. */
  readonly end: () => void
}

/** Time passes for a sleeper when the test says so. */
export class StandingClock {
  readonly #waits: Wait[] = []
  readonly #claims: ((wait: Wait) => void)[] = []

  readonly sleep = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const wait = { ms, end: resolve }
      signal.addEventListener('abort', () => reject(new Error('woken')), { once: true })
      const claim = this.#claims.shift()
      if (claim === undefined) this.#waits.push(wait)
      else claim(wait)
    })

  /** The oldest sleep that nobody has asked for. */
  nextWait(): Promise<Wait> {
    const wait = this.#waits.shift()
    return wait === undefined ? new Promise((resolve) => this.#claims.push(resolve)) : Promise.resolve(wait)
  }
}
