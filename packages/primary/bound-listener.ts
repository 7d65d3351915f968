import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { BoundSocket, type Server } from 'node:net'
import type { HostPort } from '#shared/dc'
import { createListeningServer, keepAccepting } from '#shared/listening-server'
import { cannotStart } from './bind-error.ts'
import { descriptorOf } from './descriptor-of.ts'
import type { Listener, ListenerEvents } from './listener.ts'

/** What a server can begin to listen on: an address that is taken, or a descriptor that listens already. */
type Reserved = BoundSocket | { readonly fd: number }

/** An address of ours: taken at once, by ourselves or by the process before us, and accepted on later. */
export class BoundListener implements Listener {
  readonly address: HostPort
  readonly #backlog: number
  /** Null once the server has it, or it has been closed. */
  #reserved: Reserved | null
  readonly #server: Server

  private constructor(address: HostPort, reserved: Reserved, backlog: number) {
    this.address = address
    this.#backlog = backlog
    this.#reserved = reserved
    this.#server = createListeningServer()
  }

  /** @throws OperatorError naming the address if it cannot be had */
  static bind(
    { host, port }: HostPort,
    { backlog, ipv6Only }: { backlog: number; ipv6Only: boolean },
  ): BoundListener {
    try {
      const bound = new BoundSocket({ host, port, ipv6Only })
      return new BoundListener({ host, port: bound.address().port }, bound, backlog)
    } catch (cause) {
      throw cannotStart({ host, port }, cause)
    }
  }

  /** A socket that the process before us still accepts on: it is not touched before we serve. */
  static handed({ fd, address }: { fd: number; address: HostPort }, backlog: number): BoundListener {
    return new BoundListener(address, { fd }, backlog)
  }

  get fd(): number | null {
    return descriptorOf(this.#server)
  }

  async listen(events: ListenerEvents): Promise<void> {
    if (this.#reserved === null) return
    this.#server.on('connection', events.onSocket)
    this.#server.listen(this.#reserved, this.#backlog)
    this.#reserved = null
    try {
      await once(this.#server, 'listening')
    } catch (cause) {
      throw cannotStart(this.address, cause)
    }
    keepAccepting(this.#server, this.address, events)
  }

  close(): void {
    if (this.#reserved instanceof BoundSocket) this.#reserved.close()
    else if (this.#reserved !== null) closeSync(this.#reserved.fd)
    this.#reserved = null
    this.#server.close()
  }
}
