/**
 * What the searches of one thread may have waiting, as milliseconds of hashing. A round of the event loop takes 0.4 of a
 * millisecond of it, and in a flood a round lasts two: a search that is let in is over within four seconds, before its
 * handshake's time is.
 */
export const MAX_WAITING_MS = 1000
/** Once half of that is waiting, one source gets no more than this of it: the other half is for others. */
export const MAX_WAITING_MS_PER_SOURCE: number = MAX_WAITING_MS / 8

/** One search that waits for its turns. */
export class QueuedSearch {
  readonly #queue: SearchQueue
  readonly source: string
  readonly workMs: number
  #resume: (() => void) | null

  constructor(queue: SearchQueue, source: string, workMs: number) {
    this.#queue = queue
    this.source = source
    this.workMs = workMs
    this.#resume = null
  }

  /** Resolves when it may try the next keys; I/O that is ready is served before. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve
    })
  }

  /** Called by the queue. */
  resume(): void {
    const resume = this.#resume
    this.#resume = null
    resume?.()
  }

  /** It is over. To be called once. */
  leave(): void {
    this.#queue.remove(this)
  }
}

/**
 * Lets long searches take turns on a thread that relays: one slice per round of the event loop, whatever the number of
 * searches. A search that has begun is finished before the next one, and sources take turns, so that a flood from one
 * address delays a client from another one by a single search.
 */
export class SearchQueue {
  /** In the order of their turns. No list is empty. */
  readonly #sources: Map<string, QueuedSearch[]>
  #workMs: number
  #isSliceTaken: boolean
  #isScheduled: boolean

  constructor() {
    this.#sources = new Map()
    this.#workMs = 0
    this.#isSliceTaken = false
    this.#isScheduled = false
  }

  /** Milliseconds of hashing that are waiting, those of searches under way included. */
  get waitingMs(): number {
    return this.#workMs
  }

  /** Take this round's slice at once, when nobody waits for it. */
  takeFreeSlice(): boolean {
    if (this.#sources.size > 0 || this.#isSliceTaken) return false
    this.#isSliceTaken = true
    setImmediate(() => {
      this.#isSliceTaken = false
    })
    return true
  }

  /** Wait for turns to work for so long; null when too much is waiting already. Whoever is let in has to `leave`. */
  join(source: string, workMs: number): QueuedSearch | null {
    const own = this.#sources.get(source) ?? []
    if (!this.#hasRoomFor(own, workMs)) return null
    const search = new QueuedSearch(this, source, workMs)
    own.push(search)
    this.#sources.set(source, own)
    this.#workMs += workMs
    this.#schedule()
    return search
  }

  /** For `QueuedSearch.leave`. */
  remove(search: QueuedSearch): void {
    const own = this.#sources.get(search.source)
    const at = own?.indexOf(search) ?? -1
    if (own === undefined || at < 0) return
    own.splice(at, 1)
    this.#workMs -= search.workMs
    this.#sources.delete(search.source)
    if (own.length > 0) this.#sources.set(search.source, own) // behind the others
    if (this.#sources.size === 0) this.#workMs = 0 // sums of fractions do not come back to it by themselves
  }

  /** An empty queue takes any search, and a source without a search that is waiting any that fits in all. */
  #hasRoomFor(own: readonly QueuedSearch[], workMs: number): boolean {
    const total = this.waitingMs + workMs
    if (this.waitingMs > 0 && total > MAX_WAITING_MS) return false
    if (own.length === 0 || total <= MAX_WAITING_MS / 2) return true
    return own.reduce((sum, search) => sum + search.workMs, workMs) <= MAX_WAITING_MS_PER_SOURCE
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      const first = this.#sources.values().next().value
      if (first === undefined) return
      first[0]?.resume()
      this.#schedule()
    })
  }
}
