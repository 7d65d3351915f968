import type { MergedList, NetworkSet } from '#shared/ip-list'
import { compareWords, createRangesMemory, openRangeCells, WORDS } from '#shared/ip-ranges'
import { distinctV4, distinctV6, firstOfV4, hostMask, lastOfV4, ROW_WORDS } from './networks.ts'

/** Several sets of networks as ranges to be searched: what overlaps or touches becomes one. */
export function mergeNetworks(sets: readonly NetworkSet[]): MergedList {
  const v4 = distinctV4(
    join(
      sets.map((set) => new Float64Array(set.v4)),
      Float64Array,
    ),
  )
  const v6 = distinctV6(
    join(
      sets.map((set) => new Uint32Array(set.v6)),
      Uint32Array,
    ),
  )
  const v4Ends = mergeV4(v4)
  const v6Ends = mergeV6(v6)
  const counts = { v4: v4Ends.firsts.length, v6: v6Ends.firsts.length / WORDS }
  const ranges = createRangesMemory(counts)
  const cells = openRangeCells(ranges)
  cells.v4Firsts.set(v4Ends.firsts)
  cells.v4Lasts.set(v4Ends.lasts)
  cells.v6Firsts.set(v6Ends.firsts)
  cells.v6Lasts.set(v6Ends.lasts)
  return {
    ranges,
    networkCount: v4.length + v6.length / ROW_WORDS,
    rangeCount: counts.v4 + counts.v6,
  }
}

interface Ends {
  readonly firsts: Uint32Array
  readonly lasts: Uint32Array
}

function mergeV4(networks: Float64Array): Ends {
  const firsts = new Uint32Array(networks.length)
  const lasts = new Uint32Array(networks.length)
  let count = 0
  for (const network of networks) {
    const first = firstOfV4(network)
    const last = lastOfV4(network)
    const before = count > 0 ? lasts[count - 1]! : -2 // nothing touches it
    if (first > before + 1) {
      firsts[count] = first
      lasts[count] = last
      count += 1
    } else if (last > before) lasts[count - 1] = last
  }
  return { firsts: firsts.subarray(0, count), lasts: lasts.subarray(0, count) }
}

function mergeV6(rows: Uint32Array): Ends {
  const firsts = new Uint32Array((rows.length / ROW_WORDS) * WORDS)
  const lasts = new Uint32Array(firsts.length)
  const last = new Uint32Array(WORDS)
  let end = 0
  for (let row = 0; row < rows.length; row += ROW_WORDS) {
    const prefix = rows[row + WORDS]! // whole rows
    for (let word = 0; word < WORDS; word++) last[word] = rows[row + word]! | hostMask(prefix, word)
    if (end === 0 || isBeyond(rows, row, lasts, end - WORDS)) {
      firsts.set(rows.subarray(row, row + WORDS), end)
      lasts.set(last, end)
      end += WORDS
    } else if (compareWords(last, 0, lasts, end - WORDS) > 0) lasts.set(last, end - WORDS)
  }
  return { firsts: firsts.subarray(0, end), lasts: lasts.subarray(0, end) }
}

/** The address just behind the last one, while it is being compared. */
const next = new Uint32Array(WORDS)

/** Whether a network begins so far behind a range's last address that not even its neighbour belongs to it. */
function isBeyond(rows: Uint32Array, first: number, lasts: Uint32Array, last: number): boolean {
  next.set(lasts.subarray(last, last + WORDS))
  for (let word = WORDS - 1; word >= 0; word--) {
    next[word]! += 1 // wraps to 0, and then the word before is raised too
    if (next[word] !== 0) return compareWords(rows, first, next, 0) > 0
  }
  return false // the range ends with the last address there is
}

function join<T extends Float64Array | Uint32Array>(parts: readonly T[], Kind: new (length: number) => T): T {
  const whole = new Kind(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
