import { formatHostPort, type HostPort } from '#shared/dc'

/** How long an address that failed is tried last. Long enough to spare a storm of connections, short enough to come back. */
const DOUBT_MS = 60_000
/** Addresses remembered; the tables hold a dozen, the rest guards against a table that changes all the time. */
const MAX_REMEMBERED = 1024

/** Which addresses failed lately, so that they go last (decision W10). */
export class AddressHealth {
  readonly #failedAtMs: Map<string, number>

  constructor() {
    this.#failedAtMs = new Map()
  }

  reportFailure(address: HostPort, nowMs: number): void {
    if (this.#failedAtMs.size >= MAX_REMEMBERED) this.#failedAtMs.clear()
    this.#failedAtMs.set(formatHostPort(address), nowMs)
  }

  reportSuccess(address: HostPort): void {
    this.#failedAtMs.delete(formatHostPort(address))
  }

  /** The same addresses, doubtful ones last, otherwise in their order. */
  sort(addresses: readonly HostPort[], nowMs: number): readonly HostPort[] {
    if (this.#failedAtMs.size === 0) return addresses
    const doubtful = (address: HostPort): boolean =>
      nowMs - (this.#failedAtMs.get(formatHostPort(address)) ?? -Infinity) < DOUBT_MS
    return [...addresses.filter((address) => !doubtful(address)), ...addresses.filter(doubtful)]
  }
}
