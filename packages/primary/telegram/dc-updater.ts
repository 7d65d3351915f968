import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { DcTable, HostPort } from '#shared/dc'
import { httpGet } from '../http-client.ts'
import type { HttpDial } from './http-dial.ts'
import { chooseReach, parseProxyConfig, PUBLISHED_DC } from './proxy-config.ts'

export interface PublishedUrls {
  readonly ipv4: string
  readonly ipv6: string
}

const TELEGRAM_URLS: PublishedUrls = {
  ipv4: 'https://core.telegram.org/getProxyConfig',
  ipv6: 'https://core.telegram.org/getProxyConfigV6',
}
const INTERVAL_MS = 3_600_000
/** After a failure, doubled up to the interval. */
const FIRST_RETRY_MS = 60_000
/** The real answers have 1 to 2 KiB. */
const MAX_BODY_BYTES = 64 * 1024
/** What the reference says of itself. */
const HEADERS = { 'user-agent': 'curl/8.5.0' }

export interface DcUpdaterOptions {
  readonly log: Logger
  /** For one request. */
  readonly timeoutMs: () => number
  readonly dial: () => HttpDial
  /** All that is known; called when a request brought addresses. */
  readonly onUpdate: (published: DcTable) => void
  /** A request brought none. */
  readonly onFailure: () => void
  readonly urls?: PublishedUrls
  readonly intervalMs?: number
  readonly firstRetryMs?: number
}

/**
 * Fetches the addresses of data centres that Telegram publishes, at once and then every hour, both families apart
 * (wire.md §6). The last good answer of a family holds until there is a better one.
 */
export class DcUpdater {
  readonly #options: DcUpdaterOptions
  readonly #stop: AbortController
  readonly #known: Map<4 | 6, readonly HostPort[]>

  constructor(options: DcUpdaterOptions) {
    this.#options = options
    this.#stop = new AbortController()
    this.#known = new Map()
  }

  start(): void {
    const { ipv4, ipv6 } = this.#options.urls ?? TELEGRAM_URLS
    void this.#keepFetching(4, ipv4)
    void this.#keepFetching(6, ipv6)
  }

  /** Nothing is called back any more. */
  stop(): void {
    this.#stop.abort()
  }

  async #keepFetching(family: 4 | 6, url: string): Promise<void> {
    const { intervalMs = INTERVAL_MS, firstRetryMs = FIRST_RETRY_MS } = this.#options
    const { signal } = this.#stop
    let retryMs = firstRetryMs
    while (!signal.aborted) {
      const isGood = await this.#fetch(family, url)
      const waitMs = isGood ? intervalMs : Math.min(retryMs, intervalMs)
      retryMs = isGood ? firstRetryMs : retryMs * 2
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  /** One request. A failure is logged, and is none of anybody else's business. */
  async #fetch(family: 4 | 6, url: string): Promise<boolean> {
    const { log, onUpdate, onFailure, dial, timeoutMs } = this.#options
    const { signal } = this.#stop
    try {
      const { status, body } = await httpGet(url, {
        headers: HEADERS,
        timeoutMs: timeoutMs(),
        maxBodyBytes: MAX_BODY_BYTES,
        signal,
        dial: dial(),
      })
      if (signal.aborted) return false
      if (status !== 200) throw new Error(`cannot get ${url}: status ${status}`)
      const { addresses, refused } = parseProxyConfig(body.toString('latin1'), family, chooseReach(url))
      if (refused > 0) log.warn({ url, refused }, 'published addresses of data centres that cannot be')
      if (addresses.length === 0)
        throw new Error(`cannot get ${url}: no address of DC ${PUBLISHED_DC} in the answer`)
      this.#known.set(family, addresses)
      log.debug({ url, addresses: addresses.length }, 'addresses of data centres have been fetched')
      onUpdate({ [PUBLISHED_DC]: [...(this.#known.get(4) ?? []), ...(this.#known.get(6) ?? [])] })
      return true
    } catch (error) {
      if (signal.aborted) return false
      onFailure()
      log.warn({ error: (error as Error).message }, 'cannot update the addresses of data centres') // all httpGet throws
      return false
    }
  }
}
