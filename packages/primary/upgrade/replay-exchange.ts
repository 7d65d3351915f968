import { monotonicMs } from '#shared/monotonic'
import { ReplaySet, type ReplayMemory } from '#shared/state/replay-set'
import { addTransferred, ReplayReader } from '#shared/state/replay-transfer'
import type { UpgradeMessage } from './messages.ts'

/** 590 kB a message: a full set goes over in two dozen, between which the thread does other things. */
const ENTRIES_PER_MESSAGE = 16_384
/** The newest of a set that was made very large: 150 MB, which go over in seconds. The default set holds a tenth of it. */
const MAX_HANDED_ENTRIES = 4_000_000
/** A hello seen by one process is known to the other this much later. */
const EXCHANGE_EACH_MS = 50

/**
 * Keeps the replay sets of two processes the same while both serve clients: a hello that one has seen is a replay at the
 * other, up to the moment that it takes to tell.
 */
export class ReplayExchange {
  readonly #set: ReplaySet
  readonly #reader: ReplayReader
  readonly #send: (message: UpgradeMessage) => Promise<void>
  #timer: NodeJS.Timeout | null

  /** @param thread a number that no other thread of this process has in the set */
  constructor(memory: ReplayMemory, thread: number, send: (message: UpgradeMessage) => Promise<void>) {
    this.#set = new ReplaySet(memory, thread)
    this.#reader = new ReplayReader(memory, MAX_HANDED_ENTRIES)
    this.#send = send
    this.#timer = null
  }

  /** Tell what is there now and was not told before. */
  async tell(): Promise<void> {
    for (;;) {
      const entries = this.#reader.read(ENTRIES_PER_MESSAGE)
      if (entries === null) return
      await this.#send({ type: 'hellos', entries })
    }
  }

  take(entries: Uint8Array): void {
    addTransferred(this.#set, entries, monotonicMs() / 1000)
  }

  /** The other side knows what is there now. */
  skip(): void {
    this.#reader.skip()
  }

  /** Go on telling. */
  start(): void {
    let isTelling = false
    this.#timer = setInterval(() => {
      if (isTelling) return
      isTelling = true
      void this.tell()
        .catch(() => {}) // the other one is gone, which `stop` follows
        .finally(() => (isTelling = false))
    }, EXCHANGE_EACH_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}
