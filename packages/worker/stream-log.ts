import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'

const STREAM_ID_BYTES = 16

/** The debug lines of one connection. While nobody reads them they cost neither a stream id nor a child logger. */
export class StreamLog {
  readonly #root: Logger
  #clientIp: string
  #userName: string | null
  #log: Logger | null

  constructor(root: Logger, clientIp: string) {
    this.#root = root
    this.#clientIp = clientIp
    this.#userName = null
    this.#log = null
  }

  /** The client is another one than the socket said. To be called before the first line. */
  setClientIp(clientIp: string): void {
    this.#clientIp = clientIp
  }

  /** From here on the lines name the user. */
  setUser(name: string): void {
    this.#userName = name
  }

  /** Whether anybody reads the lines. */
  get isEnabled(): boolean {
    return this.#root.isLevelEnabled('debug')
  }

  debug(message: string, fields: Record<string, unknown> = {}): void {
    if (!this.isEnabled) return
    this.#log ??= this.#root.child({
      'stream-id': randomBytes(STREAM_ID_BYTES).toString('base64url'),
      'client-ip': this.#clientIp,
    })
    this.#log.debug(this.#userName === null ? fields : { secret_name: this.#userName, ...fields }, message)
  }
}
