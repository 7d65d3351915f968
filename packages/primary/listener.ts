import { once } from 'node:events'
import { BoundSocket, createServer, type Server, type Socket } from 'node:net'
import type { Logger } from 'pino'
import { formatHostPort, type HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'

/** First keep-alive probe on client sockets, as the reference's. */
const CLIENT_KEEP_ALIVE_MS = 30_000
/** Out of descriptors, every accept fails: one line a second tells as much as thousands. */
const ACCEPT_ERROR_LOG_INTERVAL_MS = 1000

export interface ListenerEvents {
  readonly onSocket: (socket: Socket) => void
  readonly onAcceptError: () => void
  /** Connections that the kernel keeps ready; it caps this by net.core.somaxconn. */
  readonly backlog: number
  readonly log: Logger
}

interface Listener {
  readonly address: HostPort
  /** The address is taken, nothing is accepted yet; null once the server has it. */
  bound: BoundSocket | null
  readonly server: Server
}

/**
 * The listening sockets of the proxy: addresses are taken first, so that a taken port ends the start before any thread
 * runs, and accepting begins when the workers stand. Accept errors never end it (decision W15).
 */
export class Listeners {
  readonly #listeners: readonly Listener[]

  private constructor(listeners: readonly Listener[]) {
    this.#listeners = listeners
  }

  /**
   * Take the addresses, all of them or none.
   * @throws OperatorError naming the address that cannot be had
   */
  static bind(addresses: readonly HostPort[]): Listeners {
    const listeners: Listener[] = []
    for (const address of addresses) {
      try {
        const bound = new BoundSocket({ host: address.host, port: address.port })
        const server = createServer({
          pauseOnConnect: true,
          allowHalfOpen: true,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: CLIENT_KEEP_ALIVE_MS,
        })
        listeners.push({ address: { host: address.host, port: bound.address().port }, bound, server })
      } catch (cause) {
        new Listeners(listeners).close()
        throw cannotStart(address, cause)
      }
    }
    return new Listeners(listeners)
  }

  /** With the real ports, where 0 was asked for. */
  get addresses(): readonly HostPort[] {
    return this.#listeners.map((listener) => listener.address)
  }

  /** @throws OperatorError when an address that could be taken cannot be listened on after all */
  async listen(events: ListenerEvents): Promise<void> {
    for (const listener of this.#listeners) {
      const { server, bound, address } = listener
      if (bound === null) continue
      server.on('connection', events.onSocket)
      listener.bound = null
      server.listen(bound, events.backlog)
      try {
        await once(server, 'listening')
      } catch (cause) {
        this.close()
        throw cannotStart(address, cause)
      }
      keepAccepting(server, address, events)
    }
  }

  /** Accept no more. Sockets that were handed over are not touched. Calling it twice is fine. */
  close(): void {
    for (const listener of this.#listeners) {
      listener.bound?.close()
      listener.bound = null
      listener.server.close()
    }
  }
}

function keepAccepting(server: Server, address: HostPort, events: ListenerEvents): void {
  let lastLoggedMs = -Infinity
  server.on('error', (error) => {
    events.onAcceptError()
    const nowMs = performance.now()
    if (nowMs - lastLoggedMs < ACCEPT_ERROR_LOG_INTERVAL_MS) return
    lastLoggedMs = nowMs
    events.log.warn({ bind: formatHostPort(address), error: error.message }, 'cannot accept a connection')
  })
}

function cannotStart(address: HostPort, cause: unknown): OperatorError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new OperatorError(`cannot start proxy on ${formatHostPort(address)}: ${reason}`, { cause })
}
