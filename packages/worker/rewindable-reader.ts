import { HandshakeError } from '#shared/errors'

/** Above this many unread bytes the peer is told to wait; what one read brings on top is bounded by the read buffer. */
export const MAX_UNREAD_BYTES: number = 64 * 1024
/** A usual hello, and half as much again. */
const INITIAL_BYTES = 768
const EMPTY = Buffer.alloc(0)

/**
 * Bytes of a peer during the handshake: exact reads for the parser, and all that ever arrived for the fronting site,
 * in case the peer turns out not to be ours.
 */
export class RewindableReader {
  #buffer: Buffer
  #end: number
  #position: number
  #waiting: { bytes: number; resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | null
  #failure: Error | null

  constructor() {
    this.#buffer = EMPTY
    this.#end = 0
    this.#position = 0
    this.#waiting = null
    this.#failure = null
  }

  /** Bytes received and not read yet. */
  get unreadBytes(): number {
    return this.#end - this.#position
  }

  /** Somebody wants bytes that have not come. */
  get isWaiting(): boolean {
    return this.#waiting !== null
  }

  /** Bytes received in all. */
  get receivedBytes(): number {
    return this.#end
  }

  /** Whether the source should pause. */
  get isFull(): boolean {
    return this.unreadBytes >= MAX_UNREAD_BYTES
  }

  /** Copy what the socket gave; the chunk's memory may be used again. */
  push(chunk: Uint8Array): void {
    const needed = this.#end + chunk.length
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2, INITIAL_BYTES))
      this.#buffer.copy(grown, 0, 0, this.#end)
      this.#buffer = grown
    }
    this.#buffer.set(chunk, this.#end)
    this.#end += chunk.length
    this.#settle()
  }

  /** Nothing more will come: reads that cannot be satisfied reject with `error`, now and later. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#settle()
  }

  /**
   * Exactly `bytes` bytes. The result is a view that stays valid.
   * @throws HandshakeError `peer-closed`, `deadline`: whatever `fail` was given
   */
  readExact(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { bytes, resolve, reject }
      this.#settle()
    })
  }

  /** What `readExact` would give, if it is there, without a promise; else null. */
  takeNow(bytes: number): Buffer | null {
    if (this.unreadBytes < bytes) return null
    const from = this.#position
    this.#position += bytes
    return this.#buffer.subarray(from, this.#position)
  }

  /** Everything received since the beginning, read or not. */
  allBytes(): Buffer {
    return this.#buffer.subarray(0, this.#end)
  }

  /** Everything received and not read; the reader is empty afterwards. */
  takeUnread(): Buffer {
    const unread = this.#buffer.subarray(this.#position, this.#end)
    this.#position = this.#end
    return unread
  }

  #settle(): void {
    const waiting = this.#waiting
    if (waiting === null) return
    const bytes = this.takeNow(waiting.bytes)
    if (bytes !== null) {
      this.#waiting = null
      waiting.resolve(bytes)
    } else if (this.#failure !== null) {
      this.#waiting = null
      waiting.reject(this.#failure)
    }
  }
}

/** The peer closed before its handshake was complete. */
export function peerClosed(): HandshakeError {
  return new HandshakeError('peer-closed', 'the peer closed before its handshake was complete')
}

/** The peer took longer than `network.timeout.handshake`. */
export function deadlinePassed(): HandshakeError {
  return new HandshakeError('deadline', 'the handshake took longer than network.timeout.handshake')
}
