import { BugError } from '../errors.ts'

/** Looks at the lock before going to sleep. It is held for about a microsecond, so most waits end here. */
const SPINS = 200
/** One sleep. Short, because a wake-up is lost when the thread that was to give it dies. */
const SLEEP_MS = 1
/**
 * A dead owner's lock is given back by the primary within milliseconds of the thread's end. After this time something is
 * wrong, and one dead thread is better than a process that hangs.
 */
const WAIT_LIMIT_MS = 5_000

const OWNER = 0
const SLEEPERS = 1

/**
 * A lock between threads, for less than a microsecond at a time. `thread` is a number that no other living thread has.
 * A thread may die while it holds the lock; whatever the lock protects must be sound after each single write.
 */
export class ThreadLock {
  readonly #cells: Int32Array
  readonly #owner: number
  readonly #sleepers: number
  readonly #self: number

  /** `cells[start]` and the one after it belong to the lock; both begin at 0. */
  constructor(cells: Int32Array, start: number, thread: number) {
    this.#cells = cells
    this.#owner = start + OWNER
    this.#sleepers = start + SLEEPERS
    this.#self = thread + 1
  }

  /** Hot. Blocks the thread until the lock is ours. Throws a BugError when that takes longer than any owner may. */
  acquire(): void {
    if (Atomics.compareExchange(this.#cells, this.#owner, 0, this.#self) !== 0) this.#wait()
  }

  #wait(): void {
    const deadline = performance.now() + WAIT_LIMIT_MS
    for (let turn = 1; ; turn++) {
      const owner = Atomics.load(this.#cells, this.#owner)
      // Our own number: a thread that had it before us died in here. The lock is ours already.
      if (owner === this.#self) return
      if (owner === 0) {
        if (Atomics.compareExchange(this.#cells, this.#owner, 0, this.#self) === 0) return
      } else if (turn > SPINS) {
        if (performance.now() > deadline)
          throw new BugError(`thread ${owner - 1} does not give the lock back`)
        Atomics.add(this.#cells, this.#sleepers, 1)
        Atomics.wait(this.#cells, this.#owner, owner, SLEEP_MS)
        Atomics.sub(this.#cells, this.#sleepers, 1)
      }
    }
  }

  /** Hot. */
  release(): void {
    Atomics.store(this.#cells, this.#owner, 0)
    // A sleeper that died leaves its count behind: that costs a needless call here, nothing else.
    if (Atomics.load(this.#cells, this.#sleepers) > 0) Atomics.notify(this.#cells, this.#owner, 1)
  }

  /** Give back what a dead thread holds. Returns whether it held the lock. */
  releaseDeadThread(thread: number): boolean {
    const held = Atomics.compareExchange(this.#cells, this.#owner, thread + 1, 0) === thread + 1
    if (held) Atomics.notify(this.#cells, this.#owner)
    return held
  }
}
