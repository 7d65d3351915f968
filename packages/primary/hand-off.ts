import type { Socket } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import { sharedNowMs, type UserSeen } from '#shared/hand-off'
import type { IpFilter } from '#shared/ip-filter'
import { plainAddress, toNetwork } from '#shared/network'
import type { CounterRow } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import type { WorkerPool } from './worker-pool.ts'

/** Networks whose last user is remembered; about 100 bytes each. */
const MAX_USER_HINTS = 65_536

const CONCURRENCY_LIMITED = slot('concurrency_limited')
const HAND_OFFS_FAILED = slot('hand_offs_failed')

export interface HandOffOptions {
  readonly concurrency: number
  readonly ipFilter: IpFilter
  readonly log: Logger
}

/** Gives accepted sockets to the least loaded worker, if the IP lists let them in and within the limit on connections. */
export class HandOffs {
  readonly #pool: WorkerPool
  readonly #counters: CounterRow
  /** Network → ledger slot of the user who came last from there (decision W17). */
  readonly #userHints: LRUCache<string, number>
  readonly #ipFilter: IpFilter
  readonly #log: Logger
  #concurrency: number

  constructor(pool: WorkerPool, counters: CounterRow, options: HandOffOptions) {
    this.#pool = pool
    this.#counters = counters
    this.#userHints = new LRUCache({ max: MAX_USER_HINTS })
    this.#ipFilter = options.ipFilter
    this.#log = options.log
    this.#concurrency = options.concurrency
  }

  setConcurrency(concurrency: number): void {
    this.#concurrency = concurrency
  }

  /** Take an accepted, paused socket: it is handed over or destroyed when this returns. */
  take(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy() // reset before we could look at it
      return
    }
    const address = plainAddress(remoteAddress)
    const refusal = this.#ipFilter.refuse(address, this.#counters, this.#log)
    if (refusal === 'close') {
      socket.destroy()
      return
    }
    if (this.#pool.load() >= this.#concurrency) {
      this.#counters.add(CONCURRENCY_LIMITED, 1)
      this.#log.debug({ ip: address }, 'connection was concurrency limited')
      socket.destroy()
      return
    }
    const worker = this.#pool.leastLoaded()
    const userHint = this.#userHints.get(toNetwork(address)) ?? -1
    const acceptedAtMs = sharedNowMs()
    const mustFront = refusal === 'front'
    if (!worker?.handOff({ socket, remoteAddress: address, remotePort, userHint, mustFront, acceptedAtMs })) {
      this.#counters.add(HAND_OFFS_FAILED, 1)
      socket.destroy() // also when there was no thread to post it to
    }
  }

  /** A worker found another user than the hint said. */
  remember({ remoteAddress, userSlot }: UserSeen): void {
    this.#userHints.set(toNetwork(remoteAddress), userSlot)
  }
}
