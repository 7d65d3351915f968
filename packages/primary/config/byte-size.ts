import { type Decoder, fail } from './decoders.ts'

/** KB and KiB are both 1024, as in the reference (operator.md §1.2). */
const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
  e: 2 ** 60,
}
const PART = /(\d+\.?\d*|\.\d+)(?:([kmgtpe])i?)?b/y

/** Bytes of `"16mib"`, `"1.5 GB"` or `"0"`; undefined if it is none. A bare number has no unit and is refused. */
export function parseByteSize(text: string): number | undefined {
  const compact = text.replace(/[ \t]/g, '').toLowerCase()
  if (compact === '0') return 0
  let sum = 0
  let at = 0
  while (at < compact.length) {
    PART.lastIndex = at
    const part = PART.exec(compact)
    if (part === null) return undefined
    sum += Number(part[1]) * (UNIT_BYTES[part[2] ?? ''] ?? Number.NaN)
    at = PART.lastIndex
  }
  return at === 0 ? undefined : Math.floor(sum)
}

export interface ByteSizeLimits {
  readonly minBytes: number
  readonly maxBytes: number
  /** Why not less than `minBytes`. */
  readonly why: string
}

/** Sizes in bytes. Those out of the limits are raised or lowered, with a notice; 0 stays 0. */
export function decodeByteSize({ minBytes, maxBytes, why }: ByteSizeLimits): Decoder<number> {
  return (found) => {
    const value = typeof found === 'string' ? parseByteSize(found) : undefined
    if (value === undefined) return fail('expected a size with its unit, such as "16mib"')
    if (value > maxBytes)
      return {
        ok: true,
        value: maxBytes,
        notice: `lowered to ${formatByteSize(maxBytes)}, the largest there is`,
      }
    if (value >= minBytes || value === 0) return { ok: true, value }
    return { ok: true, value: minBytes, notice: `raised to ${formatByteSize(minBytes)}: ${why}` }
  }
}

/** `16mib`, `128kib`, `1000b`: the largest unit without a fraction. */
export function formatByteSize(bytes: number): string {
  const found = SHOWN_UNITS.find(([, unitBytes]) => bytes >= unitBytes && bytes % unitBytes === 0)
  return found === undefined ? `${bytes}b` : `${bytes / found[1]}${found[0]}`
}

const SHOWN_UNITS = [
  ['gib', 2 ** 30],
  ['mib', 2 ** 20],
  ['kib', 2 ** 10],
] as const
