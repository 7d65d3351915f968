import {
  BLOCK_BYTES,
  BLOCK_WORDS,
  HASH_WORDS,
  INITIAL_HASH,
  ROUND_CONSTANTS,
  ROUNDS,
} from './sha256-constants.ts'
import { compress, expandVectors, expandWords, VECTOR_BYTES, WORD_BYTES } from './sha256-code.ts'
import {
  assembleModule,
  call,
  type Code,
  getLocal,
  i32,
  loopWhile,
  setLocal,
  v128,
  type WasmFunction,
} from './wasm-assembler.ts'

/** Keys that one call tries. */
export const LANES = 4
export const KEY_WORDS = 4
/** Longer hellos than any client sends; from here on one key after the other by SHA instructions is as fast. */
export const MAX_MESSAGE_BYTES = 4096
const MAX_BLOCKS = Math.ceil((MAX_MESSAGE_BYTES + 9) / BLOCK_BYTES)
const SCHEDULE_BYTES = ROUNDS * WORD_BYTES
export const PAGE_BYTES: number = 64 * 1024

/** Where things are in the memory. A vector is one word of four lanes. */
export const AT = {
  roundConstants: 0,
  initialHash: 256,
  /** The first word of the digest that is looked for. */
  wanted: 288,
  /** Keys to make midstates of: four vectors. */
  keys: 320,
  /** Eight vectors. */
  state: 384,
  /** The schedule of four messages: 64 vectors. */
  lanesSchedule: 512,
  message: 2048,
  /** `K + W` of each block of the message. */
  schedule: 2048 + MAX_BLOCKS * BLOCK_BYTES,
  groups: Math.ceil((2048 + MAX_BLOCKS * (BLOCK_BYTES + SCHEDULE_BYTES)) / PAGE_BYTES) * PAGE_BYTES,
} as const

/** The state behind `key ⊕ ipad` and the one behind `key ⊕ opad` (RFC 2104), of four keys. */
export const GROUP_BYTES: number = 2 * HASH_WORDS * VECTOR_BYTES
const OUTER_MIDSTATE = HASH_WORDS * VECTOR_BYTES
const INNER_PAD = 0x36363636
const OUTER_PAD = 0x5c5c5c5c
/** Bits of the outer message: one block of `key ⊕ opad` and the inner hash. */
const OUTER_BITS = (BLOCK_BYTES + HASH_WORDS * WORD_BYTES) * 8
const PADDING_START = 0x80000000
const SWAP_WORDS = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]

export interface SearchExports {
  /** Make the schedule of the so many blocks at `AT.message`. */
  schedule(blocks: number): void
  /** Make the midstates of the keys at `AT.keys`. */
  midstates(group: number): void
  /** @returns of the keys of a group those, as bits, whose digest of the message begins with the word at `AT.wanted` */
  match(group: number, blocks: number): number
}

const words = (count: number): number[] => Array.from({ length: count }, (_, word) => word)
const splat = (value: number): Code => v128.splat(i32.const(value))

const advance = (pointer: number, bytes: number): Code =>
  setLocal(pointer, i32.add(getLocal(pointer), i32.const(bytes)))

// Functions by their position in the module.
const COMPRESS_SHARED = 0
const COMPRESS_LANES = 1

/** One block of the message, which is the same for all keys, into the four states. */
const compressShared: WasmFunction = {
  name: null,
  parameters: 1,
  hasResult: false,
  i32Locals: 1,
  v128Locals: HASH_WORDS + 1,
  body: compress({
    state: AT.state,
    pointer: 0,
    end: 1,
    locals: 2,
    bytesPerRound: WORD_BYTES,
    addend: (offset) => v128.loadSplat(getLocal(0), offset),
  }),
}

/** Four blocks, of which the first 16 words are at `AT.lanesSchedule`, each into its own state. */
const compressLanes: WasmFunction = {
  name: null,
  parameters: 0,
  hasResult: false,
  i32Locals: 2,
  v128Locals: HASH_WORDS + 1,
  body: [
    ...setLocal(0, i32.const(AT.lanesSchedule)),
    ...expandVectors(0, 1),
    // One pointer for both: K begins at 0 and has words where the schedule has vectors.
    ...setLocal(0, i32.const(AT.roundConstants)),
    ...compress({
      state: AT.state,
      pointer: 0,
      end: 1,
      locals: 2,
      bytesPerRound: WORD_BYTES,
      addend: (offset) =>
        v128.add(
          v128.loadSplat(getLocal(0), offset),
          v128.load(
            i32.multiply(getLocal(0), i32.const(VECTOR_BYTES / WORD_BYTES)),
            AT.lanesSchedule + (offset / WORD_BYTES) * VECTOR_BYTES,
          ),
        ),
    }),
  ],
}

/** Locals: blocks | where in the message | where in the schedule | end of a loop | end of the message. */
const schedule: WasmFunction = {
  name: 'schedule',
  parameters: 1,
  hasResult: false,
  i32Locals: 4,
  v128Locals: 0,
  body: [
    ...setLocal(1, i32.const(AT.message)),
    ...setLocal(2, i32.const(AT.schedule)),
    ...setLocal(4, i32.add(i32.const(AT.message), i32.multiply(getLocal(0), i32.const(BLOCK_BYTES)))),
    ...loopWhile(
      [
        ...words(BLOCK_WORDS / LANES).flatMap((part) =>
          v128.store(
            getLocal(2),
            part * VECTOR_BYTES,
            v128.shuffleBytes(v128.load(getLocal(1), part * VECTOR_BYTES), SWAP_WORDS),
          ),
        ),
        ...expandWords(2, 3),
        // The pointer is 48 words on; now that all words are there the constants are added.
        ...words(ROUNDS / LANES).flatMap((part) => {
          const from = AT.roundConstants + part * VECTOR_BYTES
          const back = i32.add(getLocal(2), i32.const(-(ROUNDS - BLOCK_WORDS) * WORD_BYTES))
          const sum = v128.add(v128.load(back, part * VECTOR_BYTES), v128.load(i32.const(0), from))
          return v128.store(back, part * VECTOR_BYTES, sum)
        }),
        ...advance(2, BLOCK_WORDS * WORD_BYTES),
        ...advance(1, BLOCK_BYTES),
      ],
      i32.lessThan(getLocal(1), getLocal(4)),
    ),
  ],
}

const storeLanes = (word: number, value: Code): Code =>
  v128.store(i32.const(AT.lanesSchedule), word * VECTOR_BYTES, value)
const storeState = (word: number, value: Code): Code =>
  v128.store(i32.const(AT.state), word * VECTOR_BYTES, value)
const loadState = (word: number): Code => v128.load(i32.const(AT.state), word * VECTOR_BYTES)

/** @param offset of the midstate in the group that local 0 points at */
const midstate = (pad: number, offset: number): Code => [
  ...words(BLOCK_WORDS).flatMap((word) =>
    storeLanes(
      word,
      word < KEY_WORDS
        ? v128.xor(v128.load(i32.const(AT.keys), word * VECTOR_BYTES), splat(pad))
        : splat(pad),
    ),
  ),
  ...words(HASH_WORDS).flatMap((word) =>
    storeState(word, v128.loadSplat(i32.const(AT.initialHash), word * WORD_BYTES)),
  ),
  ...call(COMPRESS_LANES),
  ...words(HASH_WORDS).flatMap((word) =>
    v128.store(getLocal(0), offset + word * VECTOR_BYTES, loadState(word)),
  ),
]

const midstates: WasmFunction = {
  name: 'midstates',
  parameters: 1,
  hasResult: false,
  i32Locals: 0,
  v128Locals: 0,
  body: [...midstate(INNER_PAD, 0), ...midstate(OUTER_PAD, OUTER_MIDSTATE)],
}

const restoreState = (offset: number): Code =>
  words(HASH_WORDS).flatMap((word) => storeState(word, v128.load(getLocal(0), offset + word * VECTOR_BYTES)))

/** The block behind `key ⊕ opad`: the inner hash and SHA-256's padding (FIPS 180-4 §5.1.1). */
const outerWord = (word: number): Code => {
  if (word < HASH_WORDS) return loadState(word)
  if (word === HASH_WORDS) return splat(PADDING_START)
  return splat(word === BLOCK_WORDS - 1 ? OUTER_BITS : 0)
}

/** Locals: group | blocks | where in the schedule | its end. */
const match: WasmFunction = {
  name: 'match',
  parameters: 2,
  hasResult: true,
  i32Locals: 2,
  v128Locals: 0,
  body: [
    ...restoreState(0),
    ...setLocal(2, i32.const(AT.schedule)),
    ...setLocal(3, i32.add(getLocal(2), i32.multiply(getLocal(1), i32.const(SCHEDULE_BYTES)))),
    ...loopWhile(
      [...call(COMPRESS_SHARED, getLocal(2)), ...advance(2, SCHEDULE_BYTES)],
      i32.lessThan(getLocal(2), getLocal(3)),
    ),
    ...words(BLOCK_WORDS).flatMap((word) => storeLanes(word, outerWord(word))),
    ...restoreState(OUTER_MIDSTATE),
    ...call(COMPRESS_LANES),
    ...v128.bitmask(v128.equal(loadState(0), v128.loadSplat(i32.const(AT.wanted), 0))),
  ],
}

/**
 * HMAC-SHA256 of one message by four keys at once, one lane each. The message is the same for all keys, so its schedule
 * is computed once for each search; what depends on the key alone, the first block of either hash, once for each key.
 */
export const buildSearchModule = (maxPages: number): Uint8Array<ArrayBuffer> =>
  assembleModule({
    functions: [compressShared, compressLanes, schedule, midstates, match],
    data: Uint8Array.from(Buffer.from(Int32Array.from([...ROUND_CONSTANTS, ...INITIAL_HASH]).buffer)),
    minPages: AT.groups / PAGE_BYTES,
    maxPages,
  })
