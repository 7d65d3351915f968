import { LRUCache } from 'lru-cache'
import { toNetwork } from './network.ts'

/** Networks whose users are remembered; 100 to 200 bytes each. */
const MAX_USER_HINTS = 65_536
/** Two calls of the search over four keys: a family, or whoever talks most behind a carrier's NAT. */
const MAX_HINTS_PER_NETWORK = 8
/** Further back than this a user is remembered anew, so that those who come often do not drop out of the list. */
const SETTLED_HINTS = MAX_HINTS_PER_NETWORK / 2

const NOBODY: readonly number[] = []

/**
 * Which users came last from a network, so that their keys are tried first (decision W17). The primary has one for the
 * connections that it accepts; where a thread learns the address by itself, it has one of its own.
 */
export class UserHints {
  /** Network → ledger slots, the last one first. */
  readonly #slots: LRUCache<string, readonly number[]>

  constructor() {
    this.#slots = new LRUCache({ max: MAX_USER_HINTS })
  }

  /** @returns ledger slots, the one who came last first */
  find(address: string): readonly number[] {
    return this.#slots.get(toNetwork(address)) ?? NOBODY
  }

  remember(address: string, userSlot: number): void {
    const network = toNetwork(address)
    const others = (this.#slots.get(network) ?? NOBODY).filter((slot) => slot !== userSlot)
    this.#slots.set(network, [userSlot, ...others.slice(0, MAX_HINTS_PER_NETWORK - 1)])
  }
}

/** Whether who gave the hints should hear of this user: a message each time would cost more than an order is worth. */
export function isNews(hints: readonly number[], userSlot: number): boolean {
  const at = hints.indexOf(userSlot)
  return at < 0 || at >= SETTLED_HINTS
}
