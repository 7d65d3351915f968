/** Uniform in [0, 1). */
export type Random = () => number

/** Values at which lengths and counts are wrong most often. */
const EDGES = [0, 1, 2, 4, 15, 16, 17, 31, 32, 63, 64, 127, 128, 200, 254, 255] as const
const WIDE_EDGES = [
  0, 1, 0x7f, 0xff, 0x100, 0x4000, 0x4011, 0x4100, 0x4101, 0x7fff, 0x8000, 0xfffe, 0xffff,
] as const
/** Changes made to one input before it is tried. */
const MAX_CHANGES = 6
const MAX_RUN_BYTES = 64

export interface MutateOptions {
  readonly random: Random
  readonly dictionary: readonly Buffer[]
  /** Another input, of which a part may be taken over. */
  readonly other: Buffer
  readonly maxBytes: number
}

/** A changed copy. */
export function mutate(input: Buffer, options: MutateOptions): Buffer {
  const changes = 1 + below(options.random, MAX_CHANGES)
  let changed: Buffer = Buffer.from(input)
  for (let i = 0; i < changes; i++) changed = change(changed, options)
  return changed.subarray(0, options.maxBytes)
}

function change(input: Buffer, options: MutateOptions): Buffer {
  const { random, dictionary, other } = options
  const at = below(random, input.length + 1)
  const run = Math.min(below(random, MAX_RUN_BYTES) + 1, input.length - at)
  switch (below(random, 10)) {
    case 0:
      return overwrite(input, at, Buffer.of((input[at] ?? 0) ^ (1 << below(random, 8))))
    case 1:
      return overwrite(input, at, Buffer.of(pick(random, EDGES)))
    case 2: {
      const wide = Buffer.alloc(2)
      wide.writeUInt16BE(pick(random, WIDE_EDGES))
      return overwrite(input, at, wide)
    }
    case 3: // a length that is off by a little
      return overwrite(input, at, Buffer.of(((input[at] ?? 0) + below(random, 9) - 4) & 0xff))
    case 4:
      return insert(
        input,
        at,
        Buffer.from(Array.from({ length: 1 + below(random, 8) }, () => below(random, 256))),
      )
    case 5:
      return Buffer.concat([input.subarray(0, at), input.subarray(at + run)])
    case 6: // many times the same
      return insert(
        input,
        at,
        Buffer.concat(Array<Buffer>(1 + below(random, 40)).fill(input.subarray(at, at + run))),
      )
    case 7: {
      if (dictionary.length === 0) return insert(input, at, Buffer.of(pick(random, EDGES)))
      const word = pick(random, dictionary)
      return random() < 0.5 ? insert(input, at, word) : overwrite(input, at, word)
    }
    case 8: {
      const from = below(random, other.length + 1)
      return insert(input, at, other.subarray(from, from + 1 + below(random, MAX_RUN_BYTES * 4)))
    }
    default:
      return Buffer.concat([input.subarray(0, at), other.subarray(below(random, other.length + 1))])
  }
}

function overwrite(input: Buffer, at: number, bytes: Buffer): Buffer {
  bytes.copy(input, at)
  return input
}

const insert = (input: Buffer, at: number, bytes: Buffer): Buffer =>
  Buffer.concat([input.subarray(0, at), bytes, input.subarray(at)])

/** An integer in [0, end). */
export const below = (random: Random, end: number): number => Math.floor(random() * end)

export const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!
