/**
 * Connections that have not finished their handshake, in all and by source, over all threads. A slow client costs an
 * attacker nothing: without a limit, some thousand silent connections would take every place there is.
 *
 *   Int32 cells
 *   | hash keys (4) | pad to 32 | in all, of thread 0, thread 1, … | pad | entry 0 … entry ENTRIES-1 |
 *   entry: | tag of the source, 0: never used | count of thread 0 | count of thread 1 | … |
 *
 * Whoever knows the source counts it, in the column of the thread that serves the connection: the primary before it
 * hands over, the thread itself behind a balancer and with `reuse-port`. A thread that dies leaves nothing but its
 * column. An entry whose counts are all zero belongs to whoever needs it next.
 */
import { getRandomValues } from 'node:crypto'
import { BugError } from '../errors.ts'
import { toSource } from '../network.ts'
import { halfSipHash13 } from './half-sip-hash.ts'

/** Sources that can be told apart at once: eight for each handshake that the default limit allows. */
const ENTRIES = 16_384
/** Entries that a source may be in. When all are taken it is not counted, and so never refused for another's sake. */
const PROBES = 8
/** Somebody else took the entry, or the last place, at the same moment. */
const ATTEMPTS = 4
const HASH_KEYS = 4
const TOTALS_START = 32
/** 128 bytes: two cache lines. */
const ALIGNMENT_CELLS = 32
/** What a source may be called by: 8 words. An IPv4 address has 15 bytes, a /64 network at most 23. */
const SOURCE_BYTES = 32

/** The connection counts in all, but not for a source. */
export const NO_SOURCE = -1

export const HANDSHAKE_LIMITS = ['total', 'address'] as const
/** Which limit refuses a connection. Also the `reason` label of its counter. */
export type HandshakeLimit = (typeof HANDSHAKE_LIMITS)[number]

/** 0: no limit. */
export interface HandshakeLimits {
  readonly maxHandshakes: number
  /** From one IPv4 address, or one IPv6 network of 64 bits. */
  readonly maxHandshakesPerAddress: number
}

export type HandshakeAdmission = { ok: true; source: number } | { ok: false; limit: HandshakeLimit }

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface HandshakesMemory {
  readonly buffer: SharedArrayBuffer
  readonly threads: number
}

/** 64 KiB and as much again for each thread; what no source needs is never touched. */
export function createHandshakesMemory(threads: number): HandshakesMemory {
  const cells = entriesStart(threads) + ENTRIES * (1 + threads)
  const buffer = new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT)
  new Int32Array(buffer).set(getRandomValues(new Int32Array(HASH_KEYS)))
  return { buffer, threads }
}

const entriesStart = (threads: number): number =>
  TOTALS_START + Math.ceil(threads / ALIGNMENT_CELLS) * ALIGNMENT_CELLS

/** A view on the counts, one per thread that uses them. */
export class Handshakes {
  readonly #cells: Int32Array
  readonly #threads: number
  readonly #text: Buffer
  readonly #words: Int32Array

  constructor({ buffer, threads }: HandshakesMemory) {
    this.#cells = new Int32Array(buffer)
    this.#threads = threads
    this.#text = Buffer.alloc(SOURCE_BYTES)
    this.#words = new Int32Array(this.#text.buffer, this.#text.byteOffset, SOURCE_BYTES / 4)
  }

  /** Over all threads. */
  get total(): number {
    return this.#sum(TOTALS_START)
  }

  /**
   * Count a connection that `thread` is to serve, until `leave`.
   * @param address of the client, or null where it is not known yet: see `admitSource`
   */
  admit(thread: number, address: string | null, limits: HandshakeLimits): HandshakeAdmission {
    const own = TOTALS_START + this.#check(thread)
    if (!this.#take(TOTALS_START, own, limits.maxHandshakes)) return { ok: false, limit: 'total' }
    if (address === null) return { ok: true, source: NO_SOURCE }
    const admission = this.admitSource(thread, address, limits)
    if (!admission.ok) Atomics.sub(this.#cells, own, 1)
    return admission
  }

  /** Count for its source a connection that is counted in all. A refused one still has to `leave` without a source. */
  admitSource(thread: number, address: string, limits: HandshakeLimits): HandshakeAdmission {
    const column = 1 + this.#check(thread)
    const { tag, at } = this.#hash(address)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const entry = this.#findEntry(tag, at)
      if (entry === null) return { ok: true, source: NO_SOURCE }
      if (!this.#take(entry + 1, entry + column, limits.maxHandshakesPerAddress))
        return { ok: false, limit: 'address' }
      // While its counts were zero somebody else may have taken the entry; now nobody does.
      if (Atomics.load(this.#cells, entry) === tag) return { ok: true, source: entry }
      Atomics.sub(this.#cells, entry + column, 1)
    }
    return { ok: true, source: NO_SOURCE }
  }

  /** The handshake is over, one way or another. @param source as admitted */
  leave(thread: number, source: number): void {
    Atomics.sub(this.#cells, TOTALS_START + this.#check(thread), 1)
    if (source !== NO_SOURCE) Atomics.sub(this.#cells, source + 1 + thread, 1)
  }

  /** The thread is dead, and with it its connections. Call it before the thread is replaced. */
  forgetThread(thread: number): void {
    Atomics.store(this.#cells, TOTALS_START + this.#check(thread), 0)
    const stride = 1 + this.#threads
    for (let entry = entriesStart(this.#threads); entry < this.#cells.length; entry += stride)
      Atomics.store(this.#cells, entry + 1 + thread, 0)
  }

  /** Claim first and add up afterwards: of the claims held at any moment the last one saw all the others. */
  #take(counts: number, own: number, limit: number): boolean {
    if (limit === 0) {
      Atomics.add(this.#cells, own, 1)
      return true
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (this.#sum(counts) >= limit) return false
      Atomics.add(this.#cells, own, 1)
      if (this.#sum(counts) <= limit) return true
      Atomics.sub(this.#cells, own, 1)
    }
    return false
  }

  #sum(counts: number): number {
    let sum = 0
    for (let thread = 0; thread < this.#threads; thread++) sum += Atomics.load(this.#cells, counts + thread)
    return sum
  }

  /** The source's entry, an idle one that is made its own, or null. */
  #findEntry(tag: number, at: number): number | null {
    const stride = 1 + this.#threads
    const start = entriesStart(this.#threads)
    const nth = (probe: number): number => start + ((at + probe) % ENTRIES) * stride
    for (let probe = 0; probe < PROBES; probe++)
      if (Atomics.load(this.#cells, nth(probe)) === tag) return nth(probe)
    for (let probe = 0; probe < PROBES; probe++) {
      const entry = nth(probe)
      const before = Atomics.load(this.#cells, entry)
      if (this.#sum(entry + 1) > 0) continue
      if (Atomics.compareExchange(this.#cells, entry, before, tag) === before) return entry
    }
    return null
  }

  #hash(address: string): { tag: number; at: number } {
    this.#text.fill(0)
    this.#text.write(toSource(address), 'latin1')
    const [a = 0, b = 0, c = 0, d = 0] = this.#cells // the keys
    return { tag: halfSipHash13(a, b, this.#words) | 0 || 1, at: halfSipHash13(c, d, this.#words) % ENTRIES }
  }

  #check(thread: number): number {
    if (Number.isInteger(thread) && thread >= 0 && thread < this.#threads) return thread
    throw new BugError(`no such thread: ${thread} of ${this.#threads}`)
  }
}
