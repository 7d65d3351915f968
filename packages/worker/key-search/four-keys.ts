import type { HelloDigest } from '../fake-tls/authenticate.ts'
import { findSigner, keyByKey } from './key-by-key.ts'
import type { KeySearch, KeySet } from './key-search.ts'
import type { KeyTable } from './key-table.ts'
import { LANES } from './search-module.ts'
import { BLOCK_BYTES } from './sha256-constants.ts'

/** bench/micro/key-search.ts: 64 bytes of a hello, by one key. */
const MS_PER_BLOCK = 0.00007

/** Where a table has no room for a group, each of its keys is asked for. */
const EVERY_LANE = (1 << LANES) - 1

/** The search by WebAssembly: four keys at once. Node's hash has the last word on what it finds. */
export function searchFourKeys(table: KeyTable): KeySearch {
  return {
    createSet: () => new LaneKeys(table),
    estimateMs: (hello) =>
      table.canLoad(hello)
        ? (2 + hello.message.length / BLOCK_BYTES) * MS_PER_BLOCK
        : keyByKey.estimateMs(hello),
  }
}

interface Group {
  /** In the table, or 0 until the group is needed: the only key of a host never needs one. */
  address: number
  /** The table has the midstates of these keys. */
  isReady: boolean
}

class LaneKeys implements KeySet {
  readonly #table: KeyTable
  #keys: readonly Uint8Array[]
  #groups: Group[]

  constructor(table: KeyTable) {
    this.#table = table
    this.#keys = []
    this.#groups = []
  }

  /** Groups that have the keys that they had stay as they are; of the others midstates are made when they are tried. */
  replace(keys: readonly Uint8Array[]): void {
    const before = this.#groups
    this.#groups = Array.from({ length: Math.ceil(keys.length / LANES) }, (_, at) => {
      const group = before[at] ?? { address: 0, isReady: false }
      group.isReady &&= hasSameKeys(keys, this.#keys, at * LANES)
      return group
    })
    for (const { address } of before.slice(this.#groups.length))
      if (address !== 0) this.#table.release(address)
    this.#keys = keys
  }

  find(hello: HelloDigest, from: number, to: number): number {
    const end = Math.min(to, this.#keys.length)
    if (end - from <= 1 || !this.#table.canLoad(hello)) return findSigner(hello, this.#keys, from, end)
    for (let at = from; at < end; at = this.#startOf(at) + LANES) {
      const start = this.#startOf(at)
      const group = this.#ready(start)
      const lanes = group === 0 ? EVERY_LANE : this.#table.match(group, hello)
      if (lanes === 0) continue
      for (let lane = at % LANES; lane < LANES && start + lane < end; lane++)
        if ((lanes & (1 << lane)) !== 0 && this.#isSigner(hello, start + lane)) return start + lane
    }
    return -1
  }

  findAmong(hello: HelloDigest, positions: readonly number[]): number {
    if (positions.length <= 1 || !this.#table.canLoad(hello))
      return positions.find((at) => this.#isSigner(hello, at)) ?? -1
    for (let from = 0; from < positions.length; from += LANES) {
      const some = positions.slice(from, from + LANES)
      const lanes = some.map((at) => ({ group: this.#ready(this.#startOf(at)), lane: at % LANES }))
      const matched = lanes.some(({ group }) => group === 0)
        ? EVERY_LANE
        : this.#table.matchLanes(lanes, hello)
      if (matched === 0) continue
      const found = some.find((at, lane) => (matched & (1 << lane)) !== 0 && this.#isSigner(hello, at))
      if (found !== undefined) return found
    }
    return -1
  }

  /** Only the first word has been looked at so far, which one key in four thousand million has by chance. */
  #isSigner(hello: HelloDigest, at: number): boolean {
    return hello.verify(this.#keys[at]!) !== null
  }

  #startOf(position: number): number {
    return position - (position % LANES)
  }

  /** @returns the address of the group that begins there, its midstates made; 0 when the table is full */
  #ready(start: number): number {
    const group = this.#groups[start / LANES]!
    if (group.isReady) return group.address
    if (group.address === 0) group.address = this.#table.allocate()
    if (group.address === 0) return 0
    this.#table.setKeys(group.address, this.#keys.slice(start, start + LANES))
    group.isReady = true
    return group.address
  }
}

/** Whether the group that begins there has the same keys in both lists. */
function hasSameKeys(a: readonly Uint8Array[], b: readonly Uint8Array[], start: number): boolean {
  for (let at = start; at < start + LANES; at++) {
    const [one, other] = [a[at], b[at]]
    if (one === other) continue
    if (one === undefined || other === undefined || !isSameKey(one, other)) return false
  }
  return true
}

function isSameKey(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return a.length === b.length
}
