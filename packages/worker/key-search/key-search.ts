import type { HelloDigest } from '../fake-tls/authenticate.ts'

/** Keys, in an order, that hellos are tried on. */
export interface KeySet {
  /** Positions are those of this list from here on. */
  replace(keys: readonly Uint8Array[]): void
  /** @returns the first position from `from` on and before `to` whose key signed the hello, or -1 */
  find(hello: HelloDigest, from: number, to: number): number
  /** Of these positions the first one, or -1. */
  findAmong(hello: HelloDigest, positions: readonly number[]): number
}

/** A way to find out which of many keys signed a hello. */
export interface KeySearch {
  createSet(): KeySet
  /** About how long a key takes, in milliseconds, once the code is compiled. */
  estimateMs(hello: HelloDigest): number
}
