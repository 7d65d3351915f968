/**
 * Sorted ranges of IP addresses in shared memory: compiled once by a task, searched by halving in every thread.
 *
 *   Uint32 cells
 *   | IPv4 count | IPv6 count | IPv4 firsts | IPv4 lasts | IPv6 firsts, 4 words each | IPv6 lasts, 4 words each |
 *
 * Both ends belong to their range, ranges neither overlap nor touch. Nothing is written after the memory is made.
 */
import { parseIpAddress } from './ip-address.ts'

const HEADER_CELLS = 2
/** Of an IPv6 address. */
export const WORDS = 4

/** How many ranges of each family. */
export interface RangeCounts {
  readonly v4: number
  readonly v6: number
}

/** The parts of the memory, to be filled by who makes it. */
export interface RangeCells {
  readonly v4Firsts: Uint32Array
  readonly v4Lasts: Uint32Array
  readonly v6Firsts: Uint32Array
  readonly v6Lasts: Uint32Array
}

/** Memory for so many ranges, to be filled by way of `openRangeCells`. */
export function createRangesMemory(counts: RangeCounts): SharedArrayBuffer {
  const cells = HEADER_CELLS + 2 * counts.v4 + 2 * WORDS * counts.v6
  const memory = new SharedArrayBuffer(cells * Uint32Array.BYTES_PER_ELEMENT)
  new Uint32Array(memory).set([counts.v4, counts.v6])
  return memory
}

/** Where each part of the memory is. */
export function openRangeCells(memory: SharedArrayBuffer): RangeCells {
  const cells = new Uint32Array(memory)
  const [v4 = 0, v6 = 0] = cells
  const v6Start = HEADER_CELLS + 2 * v4
  return {
    v4Firsts: cells.subarray(HEADER_CELLS, HEADER_CELLS + v4),
    v4Lasts: cells.subarray(HEADER_CELLS + v4, v6Start),
    v6Firsts: cells.subarray(v6Start, v6Start + WORDS * v6),
    v6Lasts: cells.subarray(v6Start + WORDS * v6),
  }
}

/** The address that is being looked up: a thread looks up one at a time. */
const words = new Uint32Array(WORDS)

/** The searching side, in any thread. */
export class IpRanges {
  readonly #cells: RangeCells
  readonly #v6Count: number

  constructor(memory: SharedArrayBuffer) {
    this.#cells = openRangeCells(memory)
    this.#v6Count = this.#cells.v6Firsts.length / WORDS
  }

  /** @param address an IP literal, with a zone or without; IPv4-mapped IPv6 counts as IPv4 */
  has(address: string): boolean {
    let family = parseIpAddress(address, words)
    if (family === 0 && address.includes('%'))
      family = parseIpAddress(address.slice(0, address.indexOf('%')), words)
    if (family === 4) return this.#hasV4(words[0]!) // the parser has written it
    return family === 6 && this.#hasV6()
  }

  #hasV4(address: number): boolean {
    const { v4Firsts, v4Lasts } = this.#cells
    // `low` becomes the number of ranges that begin at the address or below.
    let low = 0
    let high = v4Firsts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (v4Firsts[middle]! <= address) low = middle + 1
      else high = middle
    }
    return low > 0 && address <= v4Lasts[low - 1]!
  }

  #hasV6(): boolean {
    const { v6Firsts, v6Lasts } = this.#cells
    let low = 0
    let high = this.#v6Count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareWords(v6Firsts, middle * WORDS, words, 0) <= 0) low = middle + 1
      else high = middle
    }
    return low > 0 && compareWords(words, 0, v6Lasts, (low - 1) * WORDS) <= 0
  }
}

/** The order of two IPv6 addresses: below, at, or above zero. */
export function compareWords(a: Uint32Array, atA: number, b: Uint32Array, atB: number): number {
  for (let word = 0; word < WORDS; word++) {
    const difference = a[atA + word]! - b[atB + word]! // callers give whole addresses
    if (difference !== 0) return difference
  }
  return 0
}
