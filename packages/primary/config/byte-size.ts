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

/** Sizes in bytes up to `maxBytes`; smaller ones than `minBytes` are raised to it, with a notice that gives `why`. */
export function decodeByteSize(minBytes: number, maxBytes: number, why: string): Decoder<number> {
  return (found) => {
    const value = typeof found === 'string' ? parseByteSize(found) : undefined
    if (value === undefined) return fail('expected a size with its unit, such as "16mib"')
    if (value > maxBytes) return fail(`expected a size of at most ${formatMib(maxBytes)}`)
    if (value >= minBytes) return { ok: true, value }
    return { ok: true, value: minBytes, notice: `raised to ${formatMib(minBytes)}: ${why}` }
  }
}

function formatMib(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)}mib`
}
