import { BroadcastChannel } from 'node:worker_threads'

/** What a test can do to a worker thread that runs faulty-serve.ts, and what such a thread tells. */
export type Fault =
  | { readonly kind: 'throw' }
  | { readonly kind: 'reject' }
  | { readonly kind: 'exit' }
  /** Keep on allocating until the heap limit. */
  | { readonly kind: 'out-of-memory' }
  /** Serve nothing for so long, or until the gate opens, then exit: what was posted meanwhile is never read. */
  | { readonly kind: 'block-then-exit'; readonly blockMs: number; readonly gate?: SharedArrayBuffer }
  /** Never come back to the event loop: by turning in JavaScript or by sleeping in it. */
  | { readonly kind: 'hang'; readonly how: 'loop' | 'sleep' }
  /** Close the port on which sockets arrive, and live on. */
  | { readonly kind: 'close-port' }
  /** Exit behind the n-th shared-memory write of the next admission or departure of a connection. */
  | { readonly kind: 'exit-in-ledger'; readonly afterWrites: number }
  /** Exit behind the n-th atomic write of the next look into the replay set. */
  | { readonly kind: 'exit-in-replay-set'; readonly afterWrites: number }
  /** The system clock, as this thread reads it, is off by so much from now on. */
  | { readonly kind: 'set-clock'; readonly offsetMs: number }
  /** So much time has passed at once, as limits of this thread count it. Armed when it has looked at all of them. */
  | { readonly kind: 'skip-time'; readonly ms: number }
  /** No fault: collect garbage and tell what is left. */
  | { readonly kind: 'measure-heap' }
  /** No fault: tell what keeps the thread alive. */
  | { readonly kind: 'count-resources' }

export type FaultCommand = Fault & { readonly thread: number }

export type ThreadReport = { readonly thread: number } &
  /** Of its heap, old generation. */
  (
    | { readonly kind: 'started'; readonly heapLimitMb: number | undefined }
    | { readonly kind: 'armed' }
    | { readonly kind: 'hand-off'; readonly remotePort: number }
    | { readonly kind: 'heap'; readonly bytes: number }
    | { readonly kind: 'resources'; readonly counts: Readonly<Record<string, number>> }
  )

/** Both directions. One per proxy, so that proxies of one process do not hear each other. */
export const faultChannel = (proxyPort: number): string => `mtg-multi faults of ${proxyPort}`

/** Names a file: the first thread that finds it deletes it and dies before it serves. */
export const DIE_AT_START_VARIABLE = 'MTG_MULTI_TEST_DIE_AT_START'

/** Names a file with a port that is taken: the first thread that accepts for itself from its start, and finds it, tries that. */
export const TAKEN_PORT_VARIABLE = 'MTG_MULTI_TEST_TAKEN_PORT'

export function openGate(gate: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(gate), 0, 1)
  Atomics.notify(new Int32Array(gate), 0)
}

export const FAULTY_SERVE: string = new URL('faulty-serve.ts', import.meta.url).href

/** A test's end of the channel. */
export class Faults {
  readonly #channel: BroadcastChannel
  /** Client port → worker thread. */
  readonly #placements: Map<number, number>
  readonly #listeners: Set<(report: ThreadReport) => void>

  /** @param remembersPlacements unless there are so many that they would count as a leak */
  constructor(proxyPort: number, { remembersPlacements = true } = {}) {
    this.#channel = new BroadcastChannel(faultChannel(proxyPort))
    this.#placements = new Map()
    this.#listeners = new Set()
    this.#channel.unref()
    this.#channel.addEventListener('message', (event) => {
      const report = (event as { data: ThreadReport }).data // faulty-serve.ts posts nothing else
      if (report.kind === 'hand-off' && remembersPlacements)
        this.#placements.set(report.remotePort, report.thread)
      for (const listener of this.#listeners) listener(report)
    })
  }

  /** Tell the thread; it does so in its next turn. */
  inject(thread: number, fault: Fault): void {
    const command: FaultCommand = { ...fault, thread }
    this.#channel.postMessage(command)
  }

  /** As `inject`, for the faults that wait for an occasion: resolves when they do. */
  async arm(thread: number, fault: Fault): Promise<void> {
    const armed = this.next((report) => report.kind === 'armed' && report.thread === thread)
    this.inject(thread, fault)
    await armed
  }

  /** Bytes on the thread's JavaScript heap after a full collection, buffers included. */
  async measureHeap(thread: number): Promise<number> {
    const measured = this.next((report) => report.kind === 'heap' && report.thread === thread)
    this.inject(thread, { kind: 'measure-heap' })
    const report = await measured
    return report.kind === 'heap' ? report.bytes : NaN
  }

  /** What keeps the thread alive, by kind. */
  async countResources(thread: number): Promise<Readonly<Record<string, number>>> {
    const counted = this.next((report) => report.kind === 'resources' && report.thread === thread)
    this.inject(thread, { kind: 'count-resources' })
    const report = await counted
    return report.kind === 'resources' ? report.counts : {}
  }

  /** The next report of this kind. */
  next(isWanted: (report: ThreadReport) => boolean): Promise<ThreadReport> {
    return new Promise((resolve) => {
      const listener = (report: ThreadReport): void => {
        if (!isWanted(report)) return
        this.#listeners.delete(listener)
        resolve(report)
      }
      this.#listeners.add(listener)
    })
  }

  /** Which thread got the connection from this client port. */
  async threadOf(clientPort: number): Promise<number> {
    const known = this.#placements.get(clientPort)
    if (known !== undefined) return known
    return (await this.next((report) => report.kind === 'hand-off' && report.remotePort === clientPort))
      .thread
  }

  close(): void {
    this.#channel.close()
  }
}
