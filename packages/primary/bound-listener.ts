import { once } from 'node:events'
import { BoundSocket, type Server } from 'node:net'
import type { HostPort } from '#shared/dc'
import { createListeningServer, keepAccepting } from '#shared/listening-server'
import { cannotStart } from './bind-error.ts'
import { descriptorOf } from './descriptor-of.ts'
import type { Listener, ListenerEvents } from './listener.ts'

/** An address of ours: taken at once, accepted on later. */
export class BoundListener implements Listener {
  readonly address: HostPort
  readonly #backlog: number
  /** Null once the server has it. */
  #bound: BoundSocket | null
  readonly #server: Server

  private constructor(address: HostPort, bound: BoundSocket, backlog: number) {
    this.address = address
    this.#backlog = backlog
    this.#bound = bound
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

  get fd(): number | null {
    return descriptorOf(this.#server)
  }

  async listen(events: ListenerEvents): Promise<void> {
    if (this.#bound === null) return
    this.#server.on('connection', events.onSocket)
    this.#server.listen(this.#bound, this.#backlog)
    this.#bound = null
    try {
      await once(this.#server, 'listening')
    } catch (cause) {
      throw cannotStart(this.address, cause)
    }
    keepAccepting(this.#server, this.address, events)
  }

  close(): void {
    this.#bound?.close()
    this.#bound = null
    this.#server.close()
  }
}
