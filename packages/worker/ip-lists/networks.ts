import type { NetworkSet } from '#shared/ip-list'
import { compareWords, WORDS } from '#shared/ip-ranges'

/** The largest public lists have about as many; beyond that it is a mistake or an attack on our memory. */
export const MAX_NETWORKS = 1_000_000

/** An IPv4 network as one number: address × 64 + prefix length. Below 2^38, so a double sorts it exactly. */
const PREFIXES = 64
/** An IPv6 network: the words of its first address, then the prefix length. */
export const ROW_WORDS = WORDS + 1
const FIRST_CAPACITY = 1024

/** IPv4 network → its number, and back. */
const packV4 = (first: number, prefix: number): number => first * PREFIXES + prefix
export const firstOfV4 = (packed: number): number => Math.floor(packed / PREFIXES)
export const lastOfV4 = (packed: number): number => firstOfV4(packed) + 2 ** (32 - (packed % PREFIXES)) - 1

/** Networks as they are read, in any order and as often as they come. */
export class NetworkCollector {
  #v4: Float64Array
  #v4Count: number
  #v6: Uint32Array
  #v6Count: number

  constructor() {
    this.#v4 = new Float64Array(FIRST_CAPACITY)
    this.#v4Count = 0
    this.#v6 = new Uint32Array(FIRST_CAPACITY)
    this.#v6Count = 0
  }

  get isTooLarge(): boolean {
    return this.#v4Count + this.#v6Count > MAX_NETWORKS
  }

  /** Host bits are masked off. */
  addV4(address: number, prefix: number): void {
    if (this.#v4Count === this.#v4.length) {
      const grown = new Float64Array(2 * this.#v4.length)
      grown.set(this.#v4)
      this.#v4 = grown
    }
    const hosts = 2 ** (32 - prefix)
    this.#v4[this.#v4Count++] = packV4(Math.floor(address / hosts) * hosts, prefix)
  }

  /** Host bits are masked off. */
  addV6(words: Uint32Array, prefix: number): void {
    const start = this.#v6Count * ROW_WORDS
    if (start + ROW_WORDS > this.#v6.length) {
      const grown = new Uint32Array(2 * this.#v6.length)
      grown.set(this.#v6)
      this.#v6 = grown
    }
    for (let word = 0; word < WORDS; word++) this.#v6[start + word] = words[word]! & ~hostMask(prefix, word)
    this.#v6[start + WORDS] = prefix
    this.#v6Count += 1
  }

  /** Each network once, in ascending order. */
  toSet(): { networks: NetworkSet; count: number } {
    const v4 = distinctV4(this.#v4.subarray(0, this.#v4Count))
    const v6 = distinctV6(this.#v6.subarray(0, this.#v6Count * ROW_WORDS))
    const networks = { v4: new SharedArrayBuffer(v4.byteLength), v6: new SharedArrayBuffer(v6.byteLength) }
    new Float64Array(networks.v4).set(v4)
    new Uint32Array(networks.v6).set(v6)
    return { networks, count: v4.length + v6.length / ROW_WORDS }
  }
}

/** The bits of a word that tell the hosts of a network apart. */
export function hostMask(prefix: number, word: number): number {
  const bits = Math.min(32, Math.max(0, (word + 1) * 32 - prefix))
  return bits === 32 ? 0xffff_ffff : 2 ** bits - 1
}

/** Sorts its input. Wider networks come before those inside of them. */
export function distinctV4(packed: Float64Array): Float64Array {
  packed.sort()
  let count = 0
  for (const network of packed) {
    if (count === 0 || packed[count - 1] !== network) packed[count++] = network
  }
  return packed.subarray(0, count)
}

/** Rows of ROW_WORDS, in the same order. */
export function distinctV6(rows: Uint32Array): Uint32Array {
  const order = Uint32Array.from({ length: rows.length / ROW_WORDS }, (_, row) => row * ROW_WORDS)
  order.sort((a, b) => compareRows(rows, a, rows, b))
  const sorted = new Uint32Array(rows.length)
  let end = 0
  for (const start of order) {
    if (end > 0 && compareRows(rows, start, sorted, end - ROW_WORDS) === 0) continue
    sorted.set(rows.subarray(start, start + ROW_WORDS), end)
    end += ROW_WORDS
  }
  return sorted.subarray(0, end)
}

function compareRows(a: Uint32Array, atA: number, b: Uint32Array, atB: number): number {
  return compareWords(a, atA, b, atB) || a[atA + WORDS]! - b[atB + WORDS]! // whole rows
}
