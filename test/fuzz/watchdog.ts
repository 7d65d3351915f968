/**
 * An input that never comes to an end holds the thread that could tell of it. This thread looks on: the input stands in
 * shared memory, and when its number has not changed for too long it is written to the corpus and the process ends.
 *
 *   Int32 cells   | number of the input, 0 between two | its length |, then its bytes
 */
import { writeSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { keepInput } from './corpus.ts'

const HEADER_BYTES = 8
const STDERR = 2
const CHECK_MS = 1000
/** The limits of the targets are far below. */
const HANG_CHECKS = 20

export interface WatchdogOptions {
  /** How often it looks, in place of once a second; it acts when it has seen the same twenty times. */
  readonly checkMs?: number
  /** Where the input is kept, in place of test/fuzz/corpus. */
  readonly corpus?: string
}

interface Watched extends WatchdogOptions {
  readonly target: string
  readonly memory: SharedArrayBuffer
}

export class Watchdog {
  readonly #cells: Int32Array
  readonly #bytes: Buffer
  readonly #thread: Worker
  #number: number

  constructor(target: string, maxBytes: number, options: WatchdogOptions = {}) {
    const memory = new SharedArrayBuffer(HEADER_BYTES + maxBytes)
    this.#cells = new Int32Array(memory, 0, 2)
    this.#bytes = Buffer.from(memory, HEADER_BYTES)
    this.#number = 0
    const workerData: Watched = { ...options, target, memory }
    this.#thread = new Worker(new URL(import.meta.url), { workerData, execArgv: [] })
    this.#thread.unref()
  }

  begin(input: Buffer): void {
    this.#number = (this.#number % 0x7fff_ffff) + 1
    input.copy(this.#bytes)
    Atomics.store(this.#cells, 1, input.length)
    Atomics.store(this.#cells, 0, this.#number)
  }

  end(): void {
    Atomics.store(this.#cells, 0, 0)
  }

  async close(): Promise<void> {
    await this.#thread.terminate()
  }
}

function watch({ target, memory, checkMs = CHECK_MS, corpus }: Watched): void {
  const cells = new Int32Array(memory, 0, 2)
  let last = 0
  let checks = 0
  setInterval(() => {
    const number = Atomics.load(cells, 0)
    checks = number !== 0 && number === last ? checks + 1 : 0
    last = number
    if (checks < HANG_CHECKS) return
    const input = Buffer.from(new Uint8Array(memory, HEADER_BYTES, Atomics.load(cells, 1)))
    // The streams of a thread go through the main one, which does not listen any more.
    const path = keepInput(target, 'failed', input, corpus)
    writeSync(STDERR, `${target}: an input does not end, kept as ${path}\n`)
    process.kill(process.pid, 'SIGKILL') // the other thread would not hear of anything else
  }, checkMs)
}

if (!isMainThread && parentPort !== null && 'memory' in (workerData as object)) watch(workerData as Watched)
