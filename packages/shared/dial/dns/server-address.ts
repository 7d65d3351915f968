import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { HostPort } from '#shared/dc'

/**
 * Where a name server is. A server with a name is looked up by the system, since the server itself cannot be asked yet;
 * once, and again after it could not be reached.
 */
export class ServerAddress {
  readonly host: string
  readonly port: number
  #known: readonly HostPort[] | null
  #isDoubtful: boolean

  constructor({ host, port }: HostPort) {
    this.host = host
    this.port = port
    this.#known = isIP(host) === 0 ? null : [{ host, port }]
    this.#isDoubtful = false
  }

  /** @throws the system's error, if it knows no address and never did */
  async list(): Promise<readonly HostPort[]> {
    if (this.#known !== null && (!this.#isDoubtful || isIP(this.host) !== 0)) return this.#known
    try {
      const found = await lookup(this.host, { all: true })
      this.#known = found.map(({ address }) => ({ host: address, port: this.port }))
      this.#isDoubtful = false
      return this.#known
    } catch (error) {
      if (this.#known !== null) return this.#known
      throw error
    }
  }

  /** It could not be reached: it may have moved. */
  doubt(): void {
    this.#isDoubtful = true
  }
}
