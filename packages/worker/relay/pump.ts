// hot: called once per read of every relayed connection
import type { ByteSink, ByteSocket } from '../socket/byte-socket.ts'

/** What one direction does with a chunk: change it, count it, write it. Returns what the socket's write returned. */
export type Convey = (chunk: Buffer, to: ByteSocket) => boolean

/** Who composes two pumps. */
export interface PumpOwner {
  /** The pump's source has sent its FIN. */
  ended(pump: Pump): void
  /** The pump's source is gone. */
  closed(pump: Pump, error: Error | null): void
}

/**
 * One direction of a relay: from one socket to the other, no faster than the other takes it. It hears all that happens to
 * its source; what the source has room for again concerns the pump of the other direction.
 */
export class Pump implements ByteSink {
  readonly from: ByteSocket
  readonly to: ByteSocket
  readonly #convey: Convey
  readonly #owner: PumpOwner
  #back: Pump | null
  #blocked: boolean

  constructor(from: ByteSocket, to: ByteSocket, convey: Convey, owner: PumpOwner) {
    this.from = from
    this.to = to
    this.#convey = convey
    this.#owner = owner
    this.#back = null
    this.#blocked = false
  }

  /** Two directions between the same sockets; to be called once, before either hears anything. */
  static pair(one: Pump, other: Pump): void {
    one.#back = other
    other.#back = one
  }

  bytes(chunk: Buffer): void {
    if (this.#convey(chunk, this.to) || this.#blocked) return
    this.#blocked = true
    this.from.pause()
  }

  drained(): void {
    this.#back?.unblock()
  }

  ended(): void {
    this.#owner.ended(this)
  }

  closed(error: Error | null): void {
    this.#owner.closed(this, error)
  }

  /** The far socket has sent what was queued. */
  unblock(): void {
    if (!this.#blocked) return
    this.#blocked = false
    this.from.resume()
  }
}
