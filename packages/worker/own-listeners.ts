import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import type { HostPort } from '#shared/dc'
import {
  createListeningServer,
  isIpv6Only,
  keepAccepting,
  type AcceptErrorEvents,
} from '#shared/listening-server'

export interface OwnListenersOptions extends AcceptErrorEvents {
  /** Held by the primary, without listening on them. */
  readonly addresses: readonly HostPort[]
  readonly backlog: number
  readonly onSocket: (socket: Socket) => void
}

/**
 * The sockets on which one thread accepts for itself (`reuse-port`): the kernel spreads clients over the threads. What
 * waits in the queue of a thread that ends is lost with it; Linux does not give it to the others.
 */
export class OwnListeners {
  /** Rejects when one of the addresses cannot be listened on; none is then. */
  readonly listening: Promise<void>
  readonly #servers: readonly Server[]

  constructor(options: OwnListenersOptions) {
    const { addresses } = options
    this.#servers = addresses.map(() => createListeningServer().on('connection', options.onSocket))
    this.listening = this.#listen(options)
  }

  async #listen(options: OwnListenersOptions): Promise<void> {
    const { addresses } = options
    const begun = this.#servers.map((server, index) => listen(server, addresses[index]!, options)) // one each
    for (const outcome of await Promise.allSettled(begun)) {
      if (outcome.status === 'fulfilled') continue
      // Nobody would serve who comes to the others.
      this.close()
      throw outcome.reason
    }
  }

  /** Accept no more. Calling it twice is fine. */
  close(): void {
    for (const server of this.#servers) server.close()
  }
}

async function listen(server: Server, address: HostPort, options: OwnListenersOptions): Promise<void> {
  const { host, port } = address
  const ipv6Only = isIpv6Only(address, options.addresses)
  server.listen({ host, port, backlog: options.backlog, ipv6Only, reusePort: true })
  await once(server, 'listening')
  keepAccepting(server, address, options)
}
