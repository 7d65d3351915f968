// hot: called once per read of every relayed connection
import type { ByteSocket } from '../socket/byte-socket.ts'

/** What one direction does with a chunk: change it, count it, write it. Returns what the socket's write returned. */
export type Convey = (chunk: Buffer, to: ByteSocket) => boolean

/** One direction of a relay: from one socket to the other, no faster than the other takes it. */
export class Pump {
  readonly #from: ByteSocket
  readonly #to: ByteSocket
  readonly #convey: Convey
  #blocked: boolean

  constructor(from: ByteSocket, to: ByteSocket, convey: Convey) {
    this.#from = from
    this.#to = to
    this.#convey = convey
    this.#blocked = false
  }

  push(chunk: Buffer): void {
    if (this.#convey(chunk, this.#to) || this.#blocked) return
    this.#blocked = true
    this.#from.pause()
  }

  /** The far socket has sent what was queued. */
  drained(): void {
    if (!this.#blocked) return
    this.#blocked = false
    this.#from.resume()
  }
}
