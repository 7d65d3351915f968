import type { ByteSocket } from '../socket/byte-socket.ts'
import { Pump, type Convey, type PumpOwner } from './pump.ts'

/** Who ended a relay, for the log line of the connection. */
export type RelayEnd = 'ended' | 'client-error' | 'far-error'

/** Who has the relay. */
export interface RelayEvents {
  /** A reset of the far side is passed on as one, so that a fronted peer sees what the site does. */
  readonly mirrorsResets: boolean
  /** One side has sent its FIN: the other one gets a shorter limit. */
  onHalfClosed(): void
  /** Both sockets are closed. */
  onEnd(end: RelayEnd): void
}

/**
 * Two sockets bound together: bytes both ways, back-pressure both ways, half-close both ways (decision W9). Ends when
 * both sockets are gone, which each is once it has received and sent its FIN; a socket that breaks lets the other one
 * send what is queued and takes it along.
 */
export class Relay implements PumpOwner {
  readonly #client: ByteSocket
  readonly #far: ByteSocket
  readonly #events: RelayEvents
  #open: number
  #isUpOver: boolean
  #end: RelayEnd

  /** @param far the data centre or the fronting site */
  constructor(client: ByteSocket, far: ByteSocket, events: RelayEvents) {
    this.#client = client
    this.#far = far
    this.#events = events
    this.#open = 2
    this.#isUpOver = false
    this.#end = 'ended'
  }

  /** Begin to relay. Both sockets are open; what was read before has been written by the caller. */
  start(up: Convey, down: Convey): void {
    const upPump = new Pump(this.#client, this.#far, up, this)
    const downPump = new Pump(this.#far, this.#client, down, this)
    Pump.pair(upPump, downPump)
    this.#client.setSink(upPump)
    this.#far.setSink(downPump)
    this.#client.resume()
    this.#far.resume()
  }

  /** The record layer says that the client has sent its last byte. What comes behind it gives no more time. */
  endUp(): void {
    if (this.#isUpOver) return
    this.#isUpOver = true
    this.#far.end()
    this.#events.onHalfClosed()
  }

  // What the pumps tell

  ended({ to }: Pump): void {
    to.end()
    this.#events.onHalfClosed()
  }

  closed({ from, to }: Pump, error: Error | null): void {
    this.#closed(to, error === null ? null : from === this.#client ? 'client-error' : 'far-error')
  }

  #closed(other: ByteSocket, end: RelayEnd | null): void {
    if (end !== null && this.#end === 'ended') this.#end = end
    this.#open -= 1
    if (this.#open === 0) return this.#events.onEnd(this.#end)
    this.#events.onHalfClosed()
    if (end === 'far-error' && this.#events.mirrorsResets) this.#client.reset()
    else if (other === this.#client) this.#dismissClient()
    else this.#flushFar()
  }

  /**
   * The far side is gone: the client gets what is queued and a FIN. What it still sends is read and dropped, because
   * closing with unread bytes would send a reset, which can cost it the tail.
   */
  #dismissClient(): void {
    this.#client.setSink({
      bytes: () => {},
      drained: () => {},
      ended: () => {},
      closed: () => this.#closed(this.#far, null),
    })
    this.#client.resume()
    this.#client.end()
  }

  /** The client is gone: the far side gets what is queued, and its answers have no way out. */
  #flushFar(): void {
    const { socket } = this.#far
    this.#far.end()
    if (socket.writableLength === 0) socket.destroy()
    else socket.once('finish', () => socket.destroy())
  }
}
