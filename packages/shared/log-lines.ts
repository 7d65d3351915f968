import { openSync, writeSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/** What a logger keeps of lines that cannot be written now, about 300 of them. Later ones are lost, and counted. */
const MAX_BACKLOG_BYTES = 64 * 1024
/** Lines that are kept are written with the next one, or after so long. */
const RETRY_MS = 1000
const STDOUT = 1

/**
 * Where lines of the log go. A line is one write at once, so that those of several threads stay whole; but a log whose
 * reader hangs, whose disk is full or that nobody reads any more must not stop the connections of those who use the proxy:
 * the library's own stream would sleep until the reader goes on, and keep without limit what the disk does not take.
 */
export class LineStream {
  readonly #fd: number
  /** Oldest first; of the first one a part may have been written. */
  readonly #backlog: Buffer[]
  #backlogBytes: number
  #lost: number
  #waitsForRetry: boolean

  /** @param destination a file descriptor, or the path of a file to append to */
  constructor(destination: number | string) {
    if (destination === STDOUT && isMainThread) setNonBlocking()
    this.#fd = typeof destination === 'number' ? destination : openSync(destination, 'a')
    this.#backlog = []
    this.#backlogBytes = 0
    this.#lost = 0
    this.#waitsForRetry = false
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    const isNext = this.#writeBacklog()
    const written = isNext ? this.#tryWrite(bytes) : 0
    if (written === bytes.length) return
    if (written === 0 && this.#backlogBytes + bytes.length > MAX_BACKLOG_BYTES) {
      this.#lost += 1
      return
    }
    this.#keep(bytes.subarray(written))
  }

  #keep(bytes: Buffer): void {
    this.#backlog.push(bytes)
    this.#backlogBytes += bytes.length
    this.#tryLater()
  }

  #tryLater(): void {
    if (this.#waitsForRetry) return
    this.#waitsForRetry = true
    setTimeout(() => this.#tryAgain(), RETRY_MS).unref()
  }

  #tryAgain(): void {
    this.#waitsForRetry = false
    if (!this.#writeBacklog()) this.#tryLater() // until it works, or the process ends
  }

  /** True when nothing stands before the next line. */
  #writeBacklog(): boolean {
    for (let first = this.#backlog[0]; first !== undefined; first = this.#backlog[0]) {
      const written = this.#tryWrite(first)
      this.#backlogBytes -= written
      if (written < first.length) {
        this.#backlog[0] = first.subarray(written)
        return false
      }
      this.#backlog.shift()
    }
    if (this.#lost > 0) this.#tellLoss()
    return this.#backlog.length === 0
  }

  #tellLoss(): void {
    const fields = { level: 'warn', timestamp: Date.now(), logger: '', lines: this.#lost }
    this.#lost = 0
    const line = { ...fields, message: 'lines of the log were lost: they could not be written' }
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    const written = this.#tryWrite(bytes)
    if (written < bytes.length) this.#keep(bytes.subarray(written))
  }

  /** @returns how many bytes the system took */
  #tryWrite(bytes: Buffer): number {
    try {
      return writeSync(this.#fd, bytes)
    } catch {
      return 0 // EAGAIN, ENOSPC; where nobody reads any more, EPIPE, it stays so
    }
  }
}

/** Pipes and sockets on descriptor 1 say EAGAIN from now on where they would have blocked, to all threads. */
function setNonBlocking(): void {
  // Node does so when it opens its own stream on it; terminals and files stay as they are.
  void process.stdout.writable
}
