import { endianness } from 'node:os'

const LITTLE_ENDIAN = endianness() === 'LE'

/**
 * A 64-bit number by its halves: a BigInt for each of 10,000 users' numbers would cost ten times as much. The upper
 * half changes once in 4 GiB, so if it is the same before and after, the lower one belongs to it.
 */
export function loadNumber(cells: Int32Array, at: number): number {
  const [low, high] = LITTLE_ENDIAN ? [at, at + 1] : [at + 1, at]
  for (;;) {
    const upper = Atomics.load(cells, high)
    const lower = Atomics.load(cells, low)
    if (Atomics.load(cells, high) === upper) return upper * 0x1_0000_0000 + (lower >>> 0)
  }
}
