import type { UserEntry } from '#shared/worker-control'

/**
 * A number of users that falls a little now and then, made one that only rises: it stays where it was until the number
 * has caught up. `bytes_out` is such a number, because what a connection still held at its end is taken back (decision
 * O2). To Prometheus a counter that falls has begun again at 0, and all of it would be added once more.
 */
export class Rising {
  /** By slot; a slot that goes to another user begins anew. */
  readonly #highest: Map<number, { readonly generation: number; value: number }>

  constructor() {
    this.#highest = new Map()
  }

  /** @returns the highest value that the user has had */
  raise({ slot, generation }: Pick<UserEntry, 'slot' | 'generation'>, value: number): number {
    const known = this.#highest.get(slot)
    if (known === undefined || known.generation !== generation) {
      this.#highest.set(slot, { generation, value })
      return value
    }
    known.value = Math.max(known.value, value)
    return known.value
  }
}
