/**
 * HalfSipHash-1-3 of 32 bytes: SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012) on 32-bit words
 * with one round a word and three at the end, as the Linux kernel uses it for its hash tables. Keyed, so that whoever
 * does not know the key cannot choose inputs that collide.
 */

const ROUNDS_AT_END = 3
/** The input's length in bytes stands in the top byte of the last block. */
const LAST_BLOCK = 32 << 24

/** Hot. `words` is the input as 8 little-endian words; the result is an unsigned 32-bit number. */
export function halfSipHash13(key0: number, key1: number, words: Int32Array): number {
  let v0 = key0
  let v1 = key1
  let v2 = key0 ^ 0x6c796765
  let v3 = key1 ^ 0x74656462
  for (let step = 0; step < 8 + 1 + ROUNDS_AT_END; step++) {
    let block = 0
    if (step < 8) block = words[step]! // the caller's 8 words
    else if (step === 8) block = LAST_BLOCK
    else if (step === 9) v2 ^= 0xff
    v3 ^= block

    v0 = (v0 + v1) | 0
    v1 = (v1 << 5) | (v1 >>> 27)
    v1 ^= v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = (v3 << 8) | (v3 >>> 24)
    v3 ^= v2
    v0 = (v0 + v3) | 0
    v3 = (v3 << 7) | (v3 >>> 25)
    v3 ^= v0
    v2 = (v2 + v1) | 0
    v1 = (v1 << 13) | (v1 >>> 19)
    v1 ^= v2
    v2 = (v2 << 16) | (v2 >>> 16)

    v0 ^= block
  }
  return (v1 ^ v3) >>> 0
}
