import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { ProxyConfig, RefuseAction } from '#shared/config'
import { sharedNowMs, type UserSeen } from '#shared/hand-off'
import type { IpFilter } from '#shared/ip-filter'
import { plainAddress } from '#shared/network'
import type { CounterRow } from '#shared/state/counters'
import { slot } from '#shared/state/layout'
import { UserHints } from '#shared/user-hints'
import type { WorkerPool } from './worker-pool.ts'

const CONCURRENCY_LIMITED = slot('concurrency_limited')
const HAND_OFFS_FAILED = slot('hand_offs_failed')

/** What of the configuration `HandOffs` goes by. */
export type HandOffConfig = Pick<ProxyConfig, 'concurrency' | 'proxyProtocolListener'>

export interface HandOffOptions {
  readonly config: HandOffConfig
  readonly ipFilter: IpFilter
  readonly log: Logger
}

/** Gives accepted sockets to the least loaded worker, if the IP lists let them in and within the limit on connections. */
export class HandOffs {
  readonly #pool: WorkerPool
  readonly #counters: CounterRow
  readonly #userHints: UserHints
  readonly #ipFilter: IpFilter
  readonly #log: Logger
  #config: HandOffConfig

  constructor(pool: WorkerPool, counters: CounterRow, options: HandOffOptions) {
    this.#pool = pool
    this.#counters = counters
    this.#userHints = new UserHints()
    this.#ipFilter = options.ipFilter
    this.#log = options.log
    this.#config = options.config
  }

  setConfig(config: HandOffConfig): void {
    this.#config = config
  }

  /** Take an accepted, paused socket: it is handed over or destroyed when this returns. */
  take(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy() // reset before we could look at it
      return
    }
    const address = plainAddress(remoteAddress)
    const refusal = this.#refuseListed(address)
    if (refusal === 'close') {
      socket.destroy()
      return
    }
    if (this.#pool.load() >= this.#config.concurrency) {
      this.#counters.add(CONCURRENCY_LIMITED, 1)
      this.#log.debug({ ip: address }, 'connection was concurrency limited')
      socket.destroy()
      return
    }
    const worker = this.#pool.leastLoaded()
    const userHint = this.#userHints.find(address)
    const acceptedAtMs = sharedNowMs()
    const mustFront = refusal === 'front'
    if (!worker?.handOff({ socket, remoteAddress: address, remotePort, userHint, mustFront, acceptedAtMs })) {
      this.#counters.add(HAND_OFFS_FAILED, 1)
      socket.destroy() // also when there was no thread to post it to
    }
  }

  /** Behind a balancer all sockets are its own: the worker asks, when it knows who the client is. */
  #refuseListed(address: string): RefuseAction | null {
    if (this.#config.proxyProtocolListener) return null
    return this.#ipFilter.refuse(address, this.#counters, this.#log)
  }

  /** A worker found another user than the hint said. */
  remember({ remoteAddress, userSlot }: UserSeen): void {
    this.#userHints.remember(remoteAddress, userSlot)
  }
}
