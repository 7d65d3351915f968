import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { MAX_PATH_BYTES, removeStaleSocket } from '#primary/unix-socket'
import { errorCode } from '../error-code.ts'

/**
 * One owner for a file (decision O11): the owner listens on a UNIX socket beside it. The kernel ends that with the
 * process however it dies, so there is never a lock of a dead owner to be judged by its age or its number.
 */
export class OwnerLock {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /**
   * @returns null while somebody else is the owner
   * @throws the system's error where no socket can be made, RangeError for a path that is too long for one
   */
  static async take(path: string): Promise<OwnerLock | null> {
    if (Buffer.byteLength(path) > MAX_PATH_BYTES)
      throw new RangeError(`the path of its lock is longer than ${MAX_PATH_BYTES} bytes`)
    await removeStaleSocket(path)
    // Whoever asks whether we live needs no more than to be accepted.
    const server = createServer((socket) => socket.destroy()).unref()
    server.listen(path)
    try {
      await once(server, 'listening')
      return new OwnerLock(server)
    } catch (error) {
      if (errorCode(error) === 'EADDRINUSE') return null
      throw error
    }
  }

  /** Somebody else may take it from now on. */
  async release(): Promise<void> {
    this.#server.close()
    await once(this.#server, 'close')
  }
}
