/**
 * The last hellos, exact over all threads (decision W3): a ring in order of arrival, so that the oldest leaves first,
 * with a chained hash index over it. Nothing leaves because it is old: who recorded a hello can put another time into
 * it (see hello-check.ts), so that it would be good again on any later day.
 *
 * A chain leads from newer to older entries and ends where it reaches one that has left the ring, so nothing has to be
 * unlinked, and after every single write the set is sound: a thread may die anywhere in here, all that is then to be
 * done is to give its lock back. Its own entry is in the set or not, like a hello that never came.
 */
import { randomBytes } from 'node:crypto'

import { BugError, OperatorError } from '../errors.ts'
import { halfSipHash13 } from './half-sip-hash.ts'
import {
  BUCKETS_START,
  capacityOf,
  entriesStart,
  ENTRY_CELLS,
  ENTRY_NEEDED,
  ENTRY_OLDER,
  EVICTED_EARLY,
  HEAD,
  KEY,
  LOCK,
  numberRange,
  RANDOM_BYTES,
  RANDOM_WORDS,
  replayBytes,
  TAIL,
} from './replay-layout.ts'
import { ThreadLock } from './thread-lock.ts'

/**
 * 381,000 entries. With the default skew a hello can be repeated as it is for 11 s, and a core authenticates 3,000 a
 * second: this lasts for 11 cores at full speed, and at one handshake a second for four days.
 */
export const MIN_REPLAY_BYTES: number = 16 * 1024 * 1024

const UINT32_RANGE = 0x1_0000_0000

/** Plain data: crosses to the worker threads, the buffer shared. */
export interface ReplayMemory {
  readonly buffer: SharedArrayBuffer
  /** Entries. */
  readonly capacity: number
}

/** Memory for as many entries as fit; less than MIN_REPLAY_BYTES is raised to that. */
export function createReplayMemory(maxSizeBytes: number): ReplayMemory {
  const capacity = capacityOf(Math.max(MIN_REPLAY_BYTES, maxSizeBytes))
  const buffer = allocate(replayBytes(capacity))
  const cells = new Int32Array(buffer)
  const key = randomBytes(8)
  cells[KEY] = key.readInt32LE(0)
  cells[KEY + 1] = key.readInt32LE(4)
  return { buffer, capacity }
}

function allocate(sizeBytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(sizeBytes)
  } catch (cause) {
    throw new OperatorError(`cannot reserve ${sizeBytes} bytes for the anti-replay set`, { cause })
  }
}

/** One per thread; `thread` is a number that no other living thread has. */
export class ReplaySet {
  readonly #cells: Int32Array
  readonly #lock: ThreadLock
  readonly #capacity: number
  readonly #entries: number
  readonly #range: number
  readonly #key0: number
  readonly #key1: number
  /** The random at hand, as bytes and as words. */
  readonly #bytes: Uint8Array
  readonly #words: Int32Array

  constructor(memory: ReplayMemory, thread: number) {
    this.#cells = new Int32Array(memory.buffer)
    this.#lock = new ThreadLock(this.#cells, LOCK, thread)
    this.#capacity = memory.capacity
    this.#entries = entriesStart(memory.capacity)
    this.#range = numberRange(memory.capacity)
    this.#key0 = this.#cells[KEY]! // always there, like all of the header
    this.#key1 = this.#cells[KEY + 1]!
    this.#bytes = new Uint8Array(RANDOM_BYTES)
    this.#words = new Int32Array(this.#bytes.buffer)
  }

  /**
   * Hot. Whether this random is among the last `capacity` ones; if not, it is from now on. One that has to leave within
   * `windowSeconds` is counted as `evictedEarly`.
   * @param nowSeconds of a clock that never goes back and is the same in all threads, the machine's uptime for example
   */
  testAndAdd(random32: Uint8Array, windowSeconds: number, nowSeconds: number): 'new' | 'replay' {
    if (random32.length !== RANDOM_BYTES)
      throw new BugError(`a client random has 32 bytes, not ${random32.length}`)
    this.#bytes.set(random32)
    const hash = halfSipHash13(this.#key0, this.#key1, this.#words)
    const bucket = BUCKETS_START + Math.floor((hash / UINT32_RANGE) * this.#capacity)
    this.#lock.acquire()
    const seen = this.#contains(bucket)
    if (!seen) this.#append(bucket, nowSeconds, windowSeconds)
    this.#lock.release()
    return seen ? 'replay' : 'new'
  }

  /**
   * Part of the memory that is taken by hellos still within their window, 0 to 1: at 1 one of them has to leave. The
   * others are kept because there is room.
   * @param nowSeconds of the clock that `testAndAdd` is given
   */
  fillRatio(nowSeconds: number): number {
    const cells = this.#cells
    const tail = Atomics.load(cells, TAIL)
    const all = this.#age(Atomics.load(cells, HEAD), tail)
    // In order of arrival, so halving finds the first one that is still needed.
    let low = 0
    let high = all
    while (low < high) {
      const middle = (low + high) >> 1
      const isNeeded = nowSeconds < cells[this.#entry((tail + middle) % this.#range) + ENTRY_NEEDED]!
      if (isNeeded) high = middle
      else low = middle + 1
    }
    return (all - low) / this.#capacity
  }

  #contains(bucket: number): boolean {
    const cells = this.#cells
    const tail = cells[TAIL]!
    // Ages are distances from the tail. Along a chain they fall; what is not below the one before is a number from
    // before the last time round, left in an old link.
    let below = this.#age(cells[HEAD]!, tail)
    let number = cells[bucket]! - 1
    while (number >= 0) {
      const age = this.#age(number, tail)
      if (age >= below) return false
      const entry = this.#entry(number)
      if (this.#isSame(entry)) return true
      below = age
      number = cells[entry + ENTRY_OLDER]! - 1
    }
    return false
  }

  #isSame(entry: number): boolean {
    for (let word = 0; word < RANDOM_WORDS; word++) {
      if (this.#cells[entry + word] !== this.#words[word]) return false
    }
    return true
  }

  #append(bucket: number, nowSeconds: number, windowSeconds: number): void {
    const cells = this.#cells
    const head = cells[HEAD]!
    const tail = cells[TAIL]!
    if (this.#age(head, tail) === this.#capacity) {
      if (nowSeconds < cells[this.#entry(tail) + ENTRY_NEEDED]!) Atomics.add(cells, EVICTED_EARLY, 1)
      Atomics.store(cells, TAIL, this.#next(tail))
    }
    // This order is what makes death harmless: the place is out of the set while it is written; the entry is in the
    // set before a chain leads to it, so no chain ever leads to a half-written one.
    const entry = this.#entry(head)
    cells.set(this.#words, entry)
    cells[entry + ENTRY_NEEDED] = Math.ceil(nowSeconds + windowSeconds)
    cells[entry + ENTRY_OLDER] = cells[bucket]!
    Atomics.store(cells, HEAD, this.#next(head))
    Atomics.store(cells, bucket, head + 1)
  }

  /** Entries in the set. */
  get size(): number {
    return this.#age(Atomics.load(this.#cells, HEAD), Atomics.load(this.#cells, TAIL))
  }

  /** Entries that left within their window because the set was full. More than 0: the set is too small. */
  get evictedEarly(): number {
    return Atomics.load(this.#cells, EVICTED_EARLY) >>> 0
  }

  /** The thread has ended: if it died in here, let the others go on. Returns whether it did. */
  releaseDeadThread(thread: number): boolean {
    return this.#lock.releaseDeadThread(thread)
  }

  #entry(number: number): number {
    return this.#entries + (number % this.#capacity) * ENTRY_CELLS
  }

  #next(number: number): number {
    return number + 1 === this.#range ? 0 : number + 1
  }

  #age(number: number, tail: number): number {
    return number >= tail ? number - tail : number - tail + this.#range
  }
}
