import type { HelloDigest } from '../fake-tls/authenticate.ts'
import type { KeySearch, KeySet } from './key-search.ts'

/** bench/micro/hello-digest.ts, on a machine with SHA instructions that has other work as well. */
const MS_PER_KEY = 0.004
const MS_PER_KIB = 0.0006

/** The search by Node's own hash: one key after the other. */
export const keyByKey: KeySearch = {
  createSet: () => new PlainKeys(),
  estimateMs: ({ message }) => MS_PER_KEY + (message.length / 1024) * MS_PER_KIB,
}

class PlainKeys implements KeySet {
  #keys: readonly Uint8Array[]

  constructor() {
    this.#keys = []
  }

  replace(keys: readonly Uint8Array[]): void {
    this.#keys = keys
  }

  find(hello: HelloDigest, from: number, to: number): number {
    return findSigner(hello, this.#keys, from, to)
  }

  findAmong(hello: HelloDigest, positions: readonly number[]): number {
    return positions.find((at) => findSigner(hello, this.#keys, at, at + 1) === at) ?? -1
  }
}

/** @returns the position of the first key that signed the hello, or -1 */
export function findSigner(
  hello: HelloDigest,
  keys: readonly Uint8Array[],
  from: number,
  to: number,
): number {
  const end = Math.min(to, keys.length)
  for (let at = from; at < end; at++) if (hello.verify(keys[at]!) !== null) return at
  return -1
}
