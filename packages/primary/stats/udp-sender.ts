import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import type { HostPort } from '#shared/dc'

/** A server that moves is followed within a minute. */
const RESOLVE_INTERVAL_MS = 60_000
/** A receive buffer of Linux holds about 90 datagrams of 1432 bytes unless changed; the rest of a burst would be lost. */
const BURST_DATAGRAMS = 32
/** What a server gets to read a burst: 3,200 datagrams a second remain possible. */
const BURST_PAUSE_MS = 10

/**
 * Datagrams to one server. The socket is connected, because only then the kernel tells that nobody listens; whatever
 * goes wrong is told to `onFault` and never thrown. Nothing here keeps the process alive.
 */
export class UdpSender {
  readonly #server: HostPort
  readonly #onFault: (error: Error) => void
  #socket: Socket | null
  #address: string
  #resolvedAtMs: number
  #isClosed: boolean

  /** `server` may have a host name: it is resolved by the system, which knows the names of its own network. */
  constructor(server: HostPort, onFault: (error: Error) => void) {
    this.#server = server
    this.#onFault = onFault
    this.#socket = null
    this.#address = ''
    this.#resolvedAtMs = -Infinity
    this.#isClosed = false
  }

  /** To be called before `send`. False when there is nowhere to send to now. */
  async prepare(): Promise<boolean> {
    if (this.#socket !== null && performance.now() - this.#resolvedAtMs < RESOLVE_INTERVAL_MS) return true
    try {
      const { address, family } = await lookup(this.#server.host)
      this.#resolvedAtMs = performance.now()
      if (this.#socket === null || address !== this.#address) await this.#connect(address, family)
    } catch (error) {
      this.#fail(error)
    }
    return this.#socket !== null
  }

  /** In bursts that a server's receive buffer can hold. */
  async send(datagrams: readonly string[]): Promise<void> {
    for (const [at, datagram] of datagrams.entries()) {
      if (at > 0 && at % BURST_DATAGRAMS === 0) await sleep(BURST_PAUSE_MS)
      const socket = this.#socket
      if (socket === null) return
      await new Promise<void>((resolve) => {
        socket.send(datagram, (error) => {
          if (error !== null) this.#fail(error)
          resolve()
        })
      })
    }
  }

  close(): void {
    this.#isClosed = true
    this.#socket?.close()
    this.#socket = null
  }

  async #connect(address: string, family: number): Promise<void> {
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
    // Refusals of datagrams sent before arrive here as well.
    socket.on('error', (error) => this.#fail(error))
    socket.unref()
    try {
      const connected = once(socket, 'connect')
      socket.connect(this.#server.port, address)
      await connected
    } catch (error) {
      socket.close()
      throw error
    }
    if (this.#isClosed) {
      socket.close()
      return
    }
    this.#socket?.close()
    this.#socket = socket
    this.#address = address
  }

  #fail(error: unknown): void {
    if (!this.#isClosed) this.#onFault(error instanceof Error ? error : new Error(String(error)))
  }
}
