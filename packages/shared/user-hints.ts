import { LRUCache } from 'lru-cache'
import { toNetwork } from './network.ts'

/** Networks whose last user is remembered; about 100 bytes each. */
const MAX_USER_HINTS = 65_536

/**
 * Which user came last from a network, so that their key is tried first (decision W17). The primary has one for the
 * connections that it accepts; where a thread learns the address by itself, it has one of its own.
 */
export class UserHints {
  /** Network → ledger slot. */
  readonly #slots: LRUCache<string, number>

  constructor() {
    this.#slots = new LRUCache({ max: MAX_USER_HINTS })
  }

  /** @returns the user's ledger slot, or -1 */
  find(address: string): number {
    return this.#slots.get(toNetwork(address)) ?? -1
  }

  remember(address: string, userSlot: number): void {
    this.#slots.set(toNetwork(address), userSlot)
  }
}
