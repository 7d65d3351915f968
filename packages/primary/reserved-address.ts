import { BoundSocket } from 'node:net'
import type { HostPort } from '#shared/dc'
import { cannotStart } from './bind-error.ts'
import type { Listener } from './listener.ts'

/**
 * An address on which every worker thread listens for itself (`reuse-port`). It is held here without listening, so that
 * a taken one is an error before any thread runs, and nobody else has it while a thread is replaced.
 */
export class ReservedAddress implements Listener {
  readonly address: HostPort
  #bound: BoundSocket | null

  private constructor(address: HostPort, bound: BoundSocket) {
    this.address = address
    this.#bound = bound
  }

  /** @throws OperatorError naming the address if it cannot be had */
  static reserve({ host, port }: HostPort, ipv6Only: boolean): ReservedAddress {
    try {
      const bound = new BoundSocket({ host, port, ipv6Only, reusePort: true })
      return new ReservedAddress({ host, port: bound.address().port }, bound)
    } catch (cause) {
      throw cannotStart({ host, port }, cause)
    }
  }

  /** A successor's threads listen for themselves too. */
  get fd(): null {
    return null
  }

  /** The threads do. */
  async listen(): Promise<void> {}

  close(): void {
    this.#bound?.close()
    this.#bound = null
  }
}
