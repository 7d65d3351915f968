import type { LogTarget } from '#shared/worker-control'
import type { InheritedSocket } from './inherited-sockets.ts'
import type { PublishedUrls } from './telegram/dc-updater.ts'
import type { Predecessor } from './upgrade/predecessor.ts'

export interface ProxyOptions {
  readonly log: LogTarget
  /** Fires when a stop was asked for: the start waits for nothing any more. */
  readonly stopping?: AbortSignal
  /** Where downloaded IP lists may be kept over restarts, in place of the usual places. */
  readonly cacheDirectories?: readonly string[]
  /** Listening sockets that a service manager has opened for us. */
  readonly inherited?: readonly InheritedSocket[]
  /** The process whose place this one takes. */
  readonly predecessor?: Predecessor | null
  /** Module of the worker threads in place of our own. */
  readonly workerEntry?: string
  /** After how much silence a thread is taken for dead, in place of HANG_LIMIT_MS. */
  readonly hangLimitMs?: number
  /** JavaScript heap of a worker thread, for tests that fill one. */
  readonly maxHeapMb?: number
  /** Where the addresses of data centres are published, in place of Telegram's own site. */
  readonly publishedUrls?: PublishedUrls
}
