/**
 * Which addresses failed lately, known to all threads (decision W10). A small hash table in shared memory:
 *
 *   Int64 cells, per entry   | hash of the address, 0 = free | ms of the failure + 1, 0 = it answers |
 *
 * Writers may step on each other's entries; the worst of it is that an address is tried early or late for a minute.
 */

/** An address that failed is looked at again this often: by one thread, beside a dial, so that nobody waits for it. */
export const PROBE_INTERVAL_MS = 60_000
/** The tables of data centres hold a dozen addresses, times the ways to get there. */
const ENTRIES = 1024
/** Entries looked at from where the hash points. */
const REACH = 8
const CELLS = 2
const FAILED_AT = 1

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface HealthMemory {
  readonly buffer: SharedArrayBuffer
}

/** Empty: every address is trusted. 16 KiB. */
export function createHealthMemory(): HealthMemory {
  return { buffer: new SharedArrayBuffer(ENTRIES * CELLS * BigInt64Array.BYTES_PER_ELEMENT) }
}

/** Addresses are told apart by a text, and times are monotonic and the same in all threads. */
export class AddressHealth {
  readonly #cells: BigInt64Array

  constructor(memory: HealthMemory) {
    this.#cells = new BigInt64Array(memory.buffer)
  }

  /** From now on until `reportSuccess` it goes last. */
  reportFailure(address: string, nowMs: number): void {
    const entry = this.#find(address) ?? this.#take(address)
    Atomics.store(this.#cells, entry + FAILED_AT, BigInt(nowMs) + 1n)
  }

  reportSuccess(address: string): void {
    const entry = this.#find(address)
    if (entry !== null) Atomics.store(this.#cells, entry + FAILED_AT, 0n)
  }

  isDoubtful(address: string): boolean {
    const entry = this.#find(address)
    return entry !== null && Atomics.load(this.#cells, entry + FAILED_AT) !== 0n
  }

  /** Whether it is time to look at a doubtful address again: true for one caller of all threads, who then has to. */
  claimProbe(address: string, nowMs: number): boolean {
    const entry = this.#find(address)
    if (entry === null) return false
    const failedAt = Atomics.load(this.#cells, entry + FAILED_AT)
    if (failedAt === 0n || nowMs - Number(failedAt - 1n) < PROBE_INTERVAL_MS) return false
    return Atomics.compareExchange(this.#cells, entry + FAILED_AT, failedAt, BigInt(nowMs) + 1n) === failedAt
  }

  /** First cell of an address's entry. */
  #find(address: string): number | null {
    const hash = hashText(address)
    for (let step = 0; step < REACH; step++) {
      const entry = place(hash, step)
      const found = Atomics.load(this.#cells, entry)
      if (found === hash) return entry
      if (found === 0n) return null // entries are taken in this order and never become free again
    }
    return null
  }

  /** An entry for an address that has none: a free one, else the one whose failure is the longest ago. */
  #take(address: string): number {
    const hash = hashText(address)
    let oldest = place(hash, 0)
    for (let step = 0; step < REACH; step++) {
      const entry = place(hash, step)
      if (Atomics.compareExchange(this.#cells, entry, 0n, hash) === 0n) return entry
      const isOlder =
        Atomics.load(this.#cells, entry + FAILED_AT) < Atomics.load(this.#cells, oldest + FAILED_AT)
      if (isOlder) oldest = entry
    }
    Atomics.store(this.#cells, oldest, hash)
    return oldest
  }
}

function place(hash: bigint, step: number): number {
  return ((Number(hash & 0xffffn) + step) % ENTRIES) * CELLS
}

/** FNV-1a on two lanes of 32 bits with different beginnings; addresses come from the operator, not from attackers. */
function hashText(text: string): bigint {
  let low = 0x811c9dc5
  let high = 0x01000193
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit, 0x01000193) ^ (low >>> 15)
  }
  const hash = (BigInt(high | 0) << 32n) | BigInt(low >>> 0)
  return hash === 0n ? 1n : hash
}
