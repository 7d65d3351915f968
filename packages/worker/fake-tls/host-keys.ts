import type { UserEntry } from '#shared/worker-control'
import type { KeySearch, KeySet } from '../key-search/key-search.ts'

/** Keys used last on a host that are tried before the full list. */
export const RECENT_KEYS = 32

/** One key of one user, bound to its host (decision W1). */
export interface UserKey {
  readonly user: UserEntry
  readonly key: Uint8Array
  /** As the operator wrote it: what a fronting dial resolves. */
  readonly host: string
}

/** The keys of one host. It outlives reloads: what was learnt and made for keys that stay is not lost with each new user. */
export class HostKeys {
  readonly set: KeySet
  #keys: readonly UserKey[]
  #positionsByUserSlot: ReadonlyMap<number, readonly number[]>
  /** Positions, most recently used first, at most RECENT_KEYS. */
  #recent: number[]
  #version: number

  constructor(search: KeySearch) {
    this.set = search.createSet()
    this.#keys = []
    this.#positionsByUserSlot = new Map()
    this.#recent = []
    this.#version = 0
  }

  get count(): number {
    return this.#keys.length
  }

  /** Changes whenever positions may have changed. */
  get version(): number {
    return this.#version
  }

  /** @param keys of this host, the first of equal ones wins */
  replace(keys: readonly UserKey[]): void {
    const recent = this.#recent.map((at) => this.#keys[at]!)
    this.#keys = keys
    this.#positionsByUserSlot = Map.groupBy(keys.keys(), (at) => keys[at]!.user.slot)
    this.#recent = recent.map((used) => this.#findAgain(used)).filter((at) => at >= 0)
    this.#version += 1
    this.set.replace(keys.map(({ key }) => key))
  }

  at(position: number): UserKey {
    return this.#keys[position]!
  }

  /**
   * Positions of whom a hello is likely to be from, the most likely first: users seen on the peer's network, then whoever
   * was here last.
   * @param userSlots as hinted; they may belong to users of other hosts
   */
  findLikely(userSlots: readonly number[], most: number): number[] {
    const likely = userSlots.flatMap((slot) => this.#positionsByUserSlot.get(slot) ?? [])
    for (const at of this.#recent) if (!likely.includes(at)) likely.push(at)
    return likely.slice(0, most)
  }

  /** It was used now. */
  remember(used: UserKey): void {
    const position = this.#findAgain(used)
    if (position < 0) return
    const at = this.#recent.indexOf(position)
    if (at === 0) return
    if (at > 0) this.#recent.splice(at, 1)
    this.#recent.unshift(position)
    if (this.#recent.length > RECENT_KEYS) this.#recent.pop()
  }

  /** Where this key of this user is now, or -1: a reload may have been meanwhile. */
  #findAgain({ user, key }: UserKey): number {
    const positions = this.#positionsByUserSlot.get(user.slot) ?? []
    return positions.find((at) => Buffer.compare(this.#keys[at]!.key, key) === 0) ?? -1
  }
}
