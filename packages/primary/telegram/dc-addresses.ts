import { listDcAddresses, type DcAddress, type DcTable } from '#shared/dc'
import { MAX_DC_ADDRESSES } from '#shared/state/layout'

/** Whatever does not fit is counted together, at the last position. */
const OTHER: DcAddress = { ip: 'other', dc: 0 }

/** What the positions of the per-address counters mean. They keep their meaning while the process lives: it only grows. */
export class DcAddressList {
  readonly #addresses: DcAddress[]
  readonly #known: Set<string>

  constructor() {
    this.#addresses = []
    this.#known = new Set()
  }

  get all(): readonly DcAddress[] {
    return this.#addresses
  }

  add(table: DcTable): void {
    for (const address of listDcAddresses(table)) {
      const key = `${address.dc} ${address.ip}`
      if (this.#known.has(key) || this.#addresses.length === MAX_DC_ADDRESSES) continue
      this.#known.add(key)
      this.#addresses.push(this.#addresses.length === MAX_DC_ADDRESSES - 1 ? OTHER : address)
    }
  }
}
