import type { UserLedger } from '#shared/state/user-ledger'
import type { Totals } from './state-file/totals.ts'
import type { UserTotals } from './user-totals.ts'

interface Leaver {
  readonly name: string
  /** What has been added to the totals already. */
  booked: Totals
}

/**
 * Users who were taken out while they had connections. Threads cut those a moment later and publish what was moved until
 * then: it counts, and nobody gets the slot before it has been booked.
 */
export class LeavingUsers {
  readonly #ledger: Pick<UserLedger, 'read' | 'readLive'>
  readonly #bySlot: Map<number, Leaver>

  constructor(ledger: Pick<UserLedger, 'read' | 'readLive'>) {
    this.#ledger = ledger
    this.#bySlot = new Map()
  }

  /** Slots that are not to be given away. */
  get slots(): Pick<ReadonlySet<number>, 'has'> {
    return this.#bySlot
  }

  /** The user is in the configuration no more. */
  add(name: string, slot: number, totals: UserTotals): void {
    const booked = this.#ledger.read(slot)
    totals.leave(name, booked)
    this.#bySlot.set(slot, { name, booked })
  }

  /** Book what has been published since the last time. */
  settle(totals: UserTotals): void {
    for (const [slot, leaver] of this.#bySlot) {
      // Before the bytes: a connection publishes them before it is counted no more.
      const hasLeft = this.#ledger.readLive(slot) === 0
      const { bytesIn, bytesOut, lastSeenMs } = this.#ledger.read(slot)
      const { name, booked } = leaver
      totals.leave(name, {
        bytesIn: bytesIn - booked.bytesIn,
        bytesOut: bytesOut - booked.bytesOut,
        lastSeenMs,
      })
      leaver.booked = { bytesIn, bytesOut, lastSeenMs }
      if (hasLeft) this.#bySlot.delete(slot)
    }
  }
}
