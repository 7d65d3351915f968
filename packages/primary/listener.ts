import type { Socket } from 'node:net'
import { formatHostPort, type HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'
import { type AcceptErrorEvents, isIpv6Only } from '#shared/listening-server'
import { BoundListener } from './bound-listener.ts'
import { canonicalizeIp } from './config/address.ts'
import { InheritedListener } from './inherited-listener.ts'
import type { InheritedSocket } from './inherited-sockets.ts'
import { ReservedAddress } from './reserved-address.ts'

export interface ListenerEvents extends AcceptErrorEvents {
  readonly onSocket: (socket: Socket) => void
}

/** One address on which clients come. */
export interface Listener {
  /** With the real port, where 0 was asked for. */
  readonly address: HostPort
  /** What it listens on, for a successor to go on with; null when there is nothing to hand over. */
  readonly fd: number | null
  /** @throws OperatorError when an address that could be taken cannot be listened on after all */
  listen(events: ListenerEvents): Promise<void>
  /** Accept no more. Calling it twice is fine. */
  close(): void
}

export interface BindOptions {
  /** Connections that the kernel keeps ready; it caps this by net.core.somaxconn. */
  readonly backlog: number
  /** Opened for us by a service manager: used in place of sockets of our own. */
  readonly inherited?: readonly InheritedSocket[]
  /** The process before us listens on these; what `bind-to` does not name any more is closed. */
  readonly handed?: readonly HandedAddress[]
  /** The worker threads listen; the addresses are only held. */
  readonly reserveOnly?: boolean
}

export interface HandedAddress {
  readonly fd: number
  readonly address: HostPort
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
  static bind(addresses: readonly HostPort[], options: BindOptions): Listeners {
    const { backlog, inherited = [], handed = [], reserveOnly = false } = options
    const opened: Listener[] = []
    const keep = (listener: Listener): Listener => {
      opened.push(listener)
      return listener
    }
    try {
      const taken = handed.map((socket) => keep(BoundListener.handed(socket, backlog)))
      const given = inherited.map((socket) => {
        const listener = keep(InheritedListener.open(socket, backlog))
        if (!addresses.some((address) => isSame(address, listener.address)))
          throw notInBindTo(socket, listener.address)
        return listener
      })
      const listeners = addresses.flatMap((address) => {
        const own = [...given, ...taken].filter((listener) => isSame(address, listener.address))
        if (own.length > 0) return own
        const ipv6Only = isIpv6Only(address, addresses)
        if (reserveOnly) return keep(ReservedAddress.reserve(address, ipv6Only))
        return keep(BoundListener.bind(address, { backlog, ipv6Only }))
      })
      for (const listener of taken) if (!listeners.includes(listener)) listener.close()
      return new Listeners(listeners)
    } catch (error) {
      for (const listener of opened) listener.close()
      throw error
    }
  }

  /** With the real ports, where 0 was asked for; in the order of `bind-to`. */
  get addresses(): readonly HostPort[] {
    return this.#listeners.map((listener) => listener.address)
  }

  /** What a successor can go on with. */
  get handed(): readonly HandedAddress[] {
    return this.#listeners.flatMap(({ fd, address }) => (fd === null ? [] : [{ fd, address }]))
  }

  /** @throws OperatorError when an address that could be taken cannot be listened on after all */
  async listen(events: ListenerEvents): Promise<void> {
    try {
      for (const listener of this.#listeners) await listener.listen(events)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Accept no more. Sockets that were handed over are not touched. Calling it twice is fine. */
  close(): void {
    for (const listener of this.#listeners) listener.close()
  }
}

/** What clients are told to connect to is `bind-to`: a socket elsewhere is a mistake in one of the two files. */
function notInBindTo({ fd, name }: InheritedSocket, address: HostPort): OperatorError {
  return new OperatorError(
    `the service manager listens on ${formatHostPort(address)} for us (descriptor ${fd}, ${name}), which is not in ` +
      'bind-to: name the same addresses in both',
  )
}

function isSame(one: HostPort, other: HostPort): boolean {
  return one.port === other.port && canonicalizeIp(one.host) === canonicalizeIp(other.host)
}
