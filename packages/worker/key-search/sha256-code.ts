import { HASH_WORDS, ROUNDS } from './sha256-constants.ts'
import { type Code, getLocal, i32, loopWhile, setLocal, v128 } from './wasm-assembler.ts'

/** Four bytes to a word, four words to a vector. */
export const WORD_BYTES = 4
export const VECTOR_BYTES = 16
/** After eight rounds a … h are in the locals that they began in, so this is what a loop repeats. */
const ROUNDS_PER_TURN = 8

const rotateRight = (value: Code, bits: number): Code =>
  v128.or(v128.shiftRight(value, bits), v128.shiftLeft(value, 32 - bits))

const sum = (first: Code, ...rest: readonly Code[]): Code => rest.reduce(v128.add, first)
const xor3 = (a: Code, b: Code, c: Code): Code => v128.xor(v128.xor(a, b), c)

// FIPS 180-4 §4.1.2, for four messages at once
const bigSigma0 = (x: Code): Code => xor3(rotateRight(x, 2), rotateRight(x, 13), rotateRight(x, 22))
const bigSigma1 = (x: Code): Code => xor3(rotateRight(x, 6), rotateRight(x, 11), rotateRight(x, 25))
const smallSigma0 = (x: Code): Code => xor3(rotateRight(x, 7), rotateRight(x, 18), v128.shiftRight(x, 3))
const smallSigma1 = (x: Code): Code => xor3(rotateRight(x, 17), rotateRight(x, 19), v128.shiftRight(x, 10))
const choose = (x: Code, y: Code, z: Code): Code => v128.select(y, z, x)
/** `(x ∧ y) ⊕ (x ∧ z) ⊕ (y ∧ z)` in one operation less: where x and y differ z decides, else they do. */
const majority = (x: Code, y: Code, z: Code): Code => v128.select(z, x, v128.xor(x, y))

interface RoundsOptions {
  /** Address of eight vectors, which are read and written. */
  readonly state: number
  /** i32 local that points at what the first round adds; it is moved on. */
  readonly pointer: number
  readonly bytesPerRound: number
  /** i32 local for the end of the pointer's way. */
  readonly end: number
  /** Nine v128 locals from here on. */
  readonly locals: number
  /** `K[t] + W[t]` of the round at so many bytes behind the pointer. */
  readonly addend: (offset: number) => Code
}

/** FIPS 180-4 §6.2.2, steps 2 to 4: one block into four states. */
export function compress({ state, pointer, bytesPerRound, end, locals, addend }: RoundsOptions): Code {
  const temporary = locals + HASH_WORDS
  const stateAt = (word: number): Code => v128.load(i32.const(state), word * VECTOR_BYTES)
  const words = Array.from({ length: HASH_WORDS }, (_, word) => word)
  const round = (_: unknown, t: number): Code => {
    // What was called g is called h in the next round: the names move, the values stay.
    const local = (name: number): number => locals + ((name - t + ROUNDS_PER_TURN) % HASH_WORDS)
    const [a, b, c, , e, f, g, h] = words.map((name) => getLocal(local(name))) as Code8
    // Last what is known last: e is what the next round waits for, and additions cannot be turned round by the engine.
    const t1 = sum(h, addend(t * bytesPerRound), choose(e, f, g), bigSigma1(e))
    return [
      ...setLocal(temporary, t1),
      ...setLocal(local(3), sum(getLocal(local(3)), getLocal(temporary))),
      ...setLocal(local(7), sum(majority(a, b, c), bigSigma0(a), getLocal(temporary))),
    ]
  }
  return [
    ...setLocal(end, i32.add(getLocal(pointer), i32.const(ROUNDS * bytesPerRound))),
    ...words.flatMap((word) => setLocal(locals + word, stateAt(word))),
    ...loopWhile(
      [
        ...Array.from({ length: ROUNDS_PER_TURN }, round).flat(),
        ...setLocal(pointer, i32.add(getLocal(pointer), i32.const(ROUNDS_PER_TURN * bytesPerRound))),
      ],
      i32.lessThan(getLocal(pointer), getLocal(end)),
    ),
    ...words.flatMap((word) =>
      v128.store(i32.const(state), word * VECTOR_BYTES, sum(stateAt(word), getLocal(locals + word))),
    ),
  ]
}

type Code8 = [Code, Code, Code, Code, Code, Code, Code, Code]

/**
 * FIPS 180-4 §6.2.2, step 1, for four messages: 16 vectors become 64.
 * @param pointer i32 local that is at `W[0]`; it is moved on
 */
export function expandVectors(pointer: number, end: number): Code {
  const w = (behind: number): Code => v128.load(getLocal(pointer), (16 - behind) * VECTOR_BYTES)
  return [
    ...setLocal(end, i32.add(getLocal(pointer), i32.const((ROUNDS - 16) * VECTOR_BYTES))),
    ...loopWhile(
      [
        ...v128.store(
          getLocal(pointer),
          16 * VECTOR_BYTES,
          sum(smallSigma1(w(2)), w(7), smallSigma0(w(15)), w(16)),
        ),
        ...setLocal(pointer, i32.add(getLocal(pointer), i32.const(VECTOR_BYTES))),
      ],
      i32.lessThan(getLocal(pointer), getLocal(end)),
    ),
  ]
}

/** The same for one message, in words: 16 become 64. */
export function expandWords(pointer: number, end: number): Code {
  const w = (behind: number): Code => i32.load(getLocal(pointer), (16 - behind) * WORD_BYTES)
  const rotate = (x: Code, bits: number): Code => i32.rotateRight(x, i32.const(bits))
  const shift = (x: Code, bits: number): Code => i32.shiftRight(x, i32.const(bits))
  const xor = (a: Code, b: Code, c: Code): Code => i32.xor(i32.xor(a, b), c)
  const sigma0 = (x: Code): Code => xor(rotate(x, 7), rotate(x, 18), shift(x, 3))
  const sigma1 = (x: Code): Code => xor(rotate(x, 17), rotate(x, 19), shift(x, 10))
  const next = [sigma1(w(2)), w(7), sigma0(w(15)), w(16)].reduce(i32.add)
  return [
    ...setLocal(end, i32.add(getLocal(pointer), i32.const((ROUNDS - 16) * WORD_BYTES))),
    ...loopWhile(
      [
        ...i32.store(getLocal(pointer), 16 * WORD_BYTES, next),
        ...setLocal(pointer, i32.add(getLocal(pointer), i32.const(WORD_BYTES))),
      ],
      i32.lessThan(getLocal(pointer), getLocal(end)),
    ),
  ]
}
