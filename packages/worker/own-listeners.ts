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
  readonly #servers: readonly Server[]

  private constructor(servers: readonly Server[]) {
    this.#servers = servers
  }

  /** Rejects when one of the addresses cannot be listened on; the thread then ends, and its sockets with it. */
  static async listen(options: OwnListenersOptions): Promise<OwnListeners> {
    const { addresses, backlog } = options
    const servers = addresses.map(async (address) => {
      const server = createListeningServer().on('connection', options.onSocket)
      const ipv6Only = isIpv6Only(address, addresses)
      server.listen({ host: address.host, port: address.port, backlog, ipv6Only, reusePort: true })
      await once(server, 'listening')
      keepAccepting(server, address, options)
      return server
    })
    return new OwnListeners(await Promise.all(servers))
  }

  /** Accept no more. Calling it twice is fine. */
  close(): void {
    for (const server of this.#servers) server.close()
  }
}
