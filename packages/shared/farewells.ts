import type { Socket } from 'node:net'

/** A peer that got its FIN answers with its own within a round trip; who goes on talking longer is cut off. */
export const FAREWELL_MS = 1000
/** A flood of refused peers holds no more sockets than this per thread: the oldest one leaves at once. */
export const MAX_FAREWELLS = 256
/** Nor does one of them keep us reading: a hello is a thousand bytes, this much is no handshake any more. */
export const MAX_FAREWELL_BYTES: number = 256 * 1024

interface Farewell {
  readonly untilMs: number
  readonly untilBytesRead: number
}

/**
 * Sockets that are let go with a bare FIN. To close one while bytes of its peer lie unread makes the kernel send a
 * reset, so a peer could tell from the way it is refused, and whether it was refused before or after its hello came in.
 * What it still says is read and dropped, for a short while.
 */
export class Farewells {
  readonly #leaving: Map<Socket, Farewell>

  constructor() {
    this.#leaving = new Map()
  }

  /** Sockets that have not closed yet. */
  get size(): number {
    return this.#leaving.size
  }

  /** Send a FIN behind what is queued. Whoever got the socket's bytes so far gets no more use out of it. */
  dismiss(socket: Socket, nowMs: number): void {
    if (socket.destroyed || this.#leaving.has(socket)) return
    if (this.#leaving.size >= MAX_FAREWELLS) {
      const oldest = this.#leaving.keys().next().value
      if (oldest !== undefined) this.#close(oldest)
    }
    const untilBytesRead = socket.bytesRead + MAX_FAREWELL_BYTES
    this.#leaving.set(socket, { untilMs: nowMs + FAREWELL_MS, untilBytesRead })
    socket.on('error', () => {}) // a peer may reset as it likes
    socket.once('close', () => this.#leaving.delete(socket))
    if (!socket.writableEnded) socket.end()
    socket.resume()
  }

  /** To be called a few times a second: closes those whose time is up. */
  sweep(nowMs: number): void {
    for (const [socket, { untilMs, untilBytesRead }] of this.#leaving) {
      if (nowMs >= untilMs || socket.bytesRead >= untilBytesRead) this.#close(socket)
    }
  }

  /** Close all of them now. */
  end(): void {
    for (const socket of this.#leaving.keys()) this.#close(socket)
  }

  #close(socket: Socket): void {
    this.#leaving.delete(socket)
    socket.destroy()
  }
}
