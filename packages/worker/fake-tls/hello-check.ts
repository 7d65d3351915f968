import type { ReplaySet } from '#shared/state/replay-set'
import type { UserEntry } from '#shared/worker-control'
import type { Clock } from '../clock.ts'
import type { Turns } from '../turns.ts'
import type { ClientHello } from './client-hello.ts'
import { KeyRing, type GiveUp, type KeySearchResult } from './key-ring.ts'

export interface HelloCheckOptions {
  readonly users: readonly UserEntry[]
  readonly toleranceMs: number
  /** null when anti-replay is off. */
  readonly replay: ReplaySet | null
  /** Unix time of the start of the process. */
  readonly startedAtMs: number
  readonly clock: Clock
  readonly turns: Turns
}

/** Who sent a ClientHello, and whether it may still be used: key, time, replay (decisions W1, W3, W4). */
export class HelloCheck {
  readonly #options: HelloCheckOptions
  /** A hello is acceptable for as long as its time may be off, both ways, and one second for the rounding. */
  readonly #windowMs: number
  #keys: KeyRing

  constructor(options: HelloCheckOptions) {
    this.#options = options
    this.#windowMs = 2 * options.toleranceMs + 1000
    this.#keys = new KeyRing(options.users, options.turns)
  }

  setUsers(users: readonly UserEntry[]): void {
    this.#keys = new KeyRing(users, this.#options.turns)
  }

  /** Where a peer goes that named no host of ours. */
  get defaultHost(): string {
    return this.#keys.defaultHost
  }

  /** Where a peer goes whose keys are not looked at: the host that it names, if that is ours. */
  hostOf(hello: ClientHello): string {
    return this.#keys.hostOf(hello)
  }

  /** @param userHint ledger slot of the user seen last from the peer's network, or -1 */
  findKey(hello: ClientHello, userHint: number, giveUp: GiveUp): Promise<KeySearchResult> {
    const nowMs = Date.now()
    const clock = {
      nowMs,
      toleranceMs: this.#options.toleranceMs,
      notBeforeSeconds: this.#notBeforeSeconds(nowMs),
    }
    return this.#keys.search(hello, userHint, clock, giveUp)
  }

  /** Remember a hello's random; true when it was there already. */
  isReplay(random: Uint8Array): boolean {
    const { replay, clock } = this.#options
    if (replay === null) return false
    return replay.testAndAdd(random, this.#windowMs / 1000, clock.monotonicMs / 1000) === 'replay'
  }

  /** Until the window after our start has passed, hellos from before it may be replays that we cannot know. */
  #notBeforeSeconds(nowMs: number): number | null {
    const { replay, startedAtMs } = this.#options
    if (replay === null || nowMs - startedAtMs > this.#windowMs) return null
    return Math.floor(startedAtMs / 1000) - 1
  }
}
