import type { Socket } from 'node:net'
import type { NetworkConfig } from '#shared/config'
import type { HostPort } from '#shared/dc'
import type { SocketHandle } from '#shared/socket-handle'
import { ByteSocket } from './byte-socket.ts'
import { connectSocket } from './connect-socket.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { SocketOptions } from './socket-options.ts'
import type { NativeSupport } from './test-native-options.ts'
import { WriteSlots } from './write-slots.ts'

/** What was found out about this Node and this kernel before the thread began. */
export interface Abilities {
  /** Shared read buffers, or null where this Node cannot share them. */
  readonly buffers: ReadBuffers | null
  readonly native: NativeSupport
}

/** How a thread comes to its sockets: around its buffers, with the options that are configured. */
export class Sockets {
  readonly slots: WriteSlots
  readonly #buffers: ReadBuffers | null
  readonly #native: NativeSupport
  #options: SocketOptions

  constructor({ buffers, native }: Abilities, network: NetworkConfig) {
    this.slots = new WriteSlots()
    this.#buffers = buffers
    this.#native = native
    this.#options = new SocketOptions(network, native.native, native.works)
  }

  /** For sockets from now on. */
  setConfig(network: NetworkConfig): void {
    this.#options = new SocketOptions(network, this.#native.native, this.#native.works)
  }

  /** Take over a client that was accepted elsewhere; it is not reading before `resume`. */
  adopt(socket: SocketHandle | Socket): ByteSocket {
    const client = ByteSocket.adopt(socket, this.slots, this.#buffers?.client ?? null)
    this.#options.applyToClient(client.socket)
    return client
  }

  /**
   * Open a connection, paused. The socket is destroyed when `signal` fires before it is open.
   * @throws the system's error
   */
  async connect(address: HostPort, signal: AbortSignal): Promise<ByteSocket> {
    const far = await connectSocket(address, this.slots, this.#buffers?.dc ?? null, signal)
    this.#options.applyToServer(far.socket)
    return far
  }
}
