import type { Server, Socket } from 'node:net'
import type { HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'
import { createListeningServer, keepAccepting } from '#shared/listening-server'
import { descriptorOf } from './descriptor-of.ts'
import type { InheritedSocket } from './inherited-sockets.ts'
import type { Listener, ListenerEvents } from './listener.ts'

/**
 * A listening socket that the service manager has opened for us. Node tells its address only once it accepts on it: who
 * comes before the workers stand is held, as the kernel would do.
 */
export class InheritedListener implements Listener {
  readonly address: HostPort
  readonly #server: Server
  readonly #held: Socket[]
  #onSocket: ((socket: Socket) => void) | null

  private constructor(address: HostPort, server: Server, maxHeld: number) {
    this.address = address
    this.#server = server
    this.#held = []
    this.#onSocket = null
    server.on('connection', (socket) => {
      if (this.#onSocket !== null) this.#onSocket(socket)
      else if (this.#held.length < maxHeld) this.#held.push(socket)
      else socket.destroy()
    })
  }

  /** @throws OperatorError if the descriptor is not a TCP socket */
  static open({ fd, name }: InheritedSocket, backlog: number): InheritedListener {
    const server = createListeningServer()
    server.on('error', () => {}) // said below, where it can be told which descriptor it is
    server.listen({ fd }, backlog)
    const address = server.address()
    if (address === null || typeof address === 'string') {
      server.close()
      throw new OperatorError(
        `the service manager has passed descriptor ${fd} (${name}), which is not a TCP socket to listen on`,
      )
    }
    return new InheritedListener({ host: address.address, port: address.port }, server, backlog)
  }

  get fd(): number | null {
    return descriptorOf(this.#server)
  }

  async listen(events: ListenerEvents): Promise<void> {
    if (this.#onSocket !== null) return
    this.#onSocket = events.onSocket
    for (const socket of this.#held.splice(0)) events.onSocket(socket)
    keepAccepting(this.#server, this.address, events)
  }

  close(): void {
    for (const socket of this.#held.splice(0)) socket.destroy()
    this.#server.close()
  }
}
