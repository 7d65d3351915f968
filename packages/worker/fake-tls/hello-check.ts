import { sharedNowMs } from '#shared/hand-off'
import type { ReplaySet } from '#shared/state/replay-set'
import type { UserEntry } from '#shared/worker-control'
import type { Clock } from '../clock.ts'
import type { KeySearch } from '../key-search/key-search.ts'
import { DIGEST_PREFIX_BYTES } from './authenticate.ts'
import { HELLO_RANDOM_BYTES, type ClientHello } from './client-hello.ts'
import { KeyRing, type GiveUp, type KeySearchResult, type SearchPeer } from './key-ring.ts'
import type { SearchQueue } from './search-queue.ts'

export interface HelloCheckOptions {
  readonly users: readonly UserEntry[]
  readonly toleranceMs: number
  /** null when anti-replay is off. */
  readonly replay: ReplaySet | null
  /** Unix time of the start of the process. */
  readonly startedAtMs: number
  readonly clock: Clock
  readonly searches: SearchQueue
  readonly search: KeySearch
}

/** Who sent a ClientHello, and whether it may still be used: key, time, replay (decisions W1, W3, W4). */
export class HelloCheck {
  readonly #options: HelloCheckOptions
  /** A hello is acceptable as it is for as long as its time may be off, both ways, and one second for the rounding. */
  readonly #windowMs: number
  /** What a hello is remembered by; the last bytes stay 0. */
  readonly #fingerprint: Uint8Array
  readonly #keys: KeyRing

  constructor(options: HelloCheckOptions) {
    this.#options = options
    this.#windowMs = 2 * options.toleranceMs + 1000
    this.#fingerprint = new Uint8Array(HELLO_RANDOM_BYTES)
    this.#keys = new KeyRing(options.users, { queue: options.searches, search: options.search })
  }

  setUsers(users: readonly UserEntry[]): void {
    this.#keys.setUsers(users)
  }

  /** Where a peer goes that named no host of ours. */
  get defaultHost(): string {
    return this.#keys.defaultHost
  }

  /** Where a peer goes whose keys are not looked at: the host that it names, if that is ours. */
  hostOf(hello: ClientHello): string {
    return this.#keys.hostOf(hello)
  }

  findKey(hello: ClientHello, peer: SearchPeer, giveUp: GiveUp): Promise<KeySearchResult> {
    const nowMs = Date.now()
    const clock = {
      nowMs,
      toleranceMs: this.#options.toleranceMs,
      notBeforeSeconds: this.#notBeforeSeconds(),
    }
    return this.#keys.search(hello, peer, clock, giveUp)
  }

  /**
   * Remember a hello by its random; true when it was there already. The time is left out: it is only XORed onto the end
   * of the digest, so who recorded a hello can turn it into one of any other time without the key. All that can be made
   * of one hello has the same 28 bytes in front.
   */
  isReplay(random: Uint8Array): boolean {
    const { replay, clock } = this.#options
    if (replay === null) return false
    this.#fingerprint.set(random.subarray(0, DIGEST_PREFIX_BYTES))
    return replay.testAndAdd(this.#fingerprint, this.#windowMs / 1000, clock.monotonicMs / 1000) === 'replay'
  }

  /** Until the window after our start has passed, hellos from before it may be replays that we cannot know. */
  #notBeforeSeconds(): number | null {
    const { replay, startedAtMs } = this.#options
    // Not by the clock that hellos are dated by: set back an hour, it would have everybody fronted for that long.
    if (replay === null || sharedNowMs() - startedAtMs > this.#windowMs) return null
    return Math.floor(startedAtMs / 1000) - 1
  }
}
