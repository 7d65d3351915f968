import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { ProxyConfig } from '#shared/config'
import { Farewells } from '#shared/farewells'
import { sharedNowMs, type UserSeen } from '#shared/hand-off'
import type { IpFilter } from '#shared/ip-filter'
import { plainAddress } from '#shared/network'
import type { CounterRow } from '#shared/state/counters'
import { countHandshakeLimited } from '#shared/state/handshake-counter'
import type { HandshakeLimits, Handshakes } from '#shared/state/handshakes'
import { slot } from '#shared/state/layout'
import { UserHints } from '#shared/user-hints'
import type { WorkerPool } from './worker-pool.ts'

const CONCURRENCY_LIMITED = slot('concurrency_limited')
const HAND_OFFS_FAILED = slot('hand_offs_failed')

/** What of the configuration `HandOffs` goes by. */
export interface HandOffConfig extends Pick<ProxyConfig, 'concurrency' | 'proxyProtocolListener'> {
  readonly defense: HandshakeLimits
}

export interface HandOffOptions {
  readonly config: HandOffConfig
  readonly ipFilter: IpFilter
  readonly handshakes: Handshakes
  readonly log: Logger
}

/** Gives accepted sockets to the least loaded worker, if the IP lists let them in and within the limit on connections. */
export class HandOffs {
  readonly #pool: WorkerPool
  readonly #counters: CounterRow
  readonly #userHints: UserHints
  readonly #ipFilter: IpFilter
  readonly #farewells: Farewells
  readonly #handshakes: Handshakes
  readonly #log: Logger
  #config: HandOffConfig

  constructor(pool: WorkerPool, counters: CounterRow, options: HandOffOptions) {
    this.#pool = pool
    this.#counters = counters
    this.#userHints = new UserHints()
    this.#ipFilter = options.ipFilter
    this.#farewells = new Farewells()
    this.#handshakes = options.handshakes
    this.#log = options.log
    this.#config = options.config
  }

  setConfig(config: HandOffConfig): void {
    this.#config = config
  }

  /** Let go of those that were refused, at once. */
  close(): void {
    this.#farewells.end()
  }

  /** Close those that were refused some time ago. To be called a few times a second. */
  tick(): void {
    this.#farewells.sweep(performance.now())
  }

  /** Take an accepted, paused socket: it is handed over, refused or destroyed when this returns. */
  take(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy() // reset before we could look at it
      return
    }
    const address = plainAddress(remoteAddress)
    const { proxyProtocolListener: isProxied, concurrency, defense } = this.#config
    // Behind a balancer all sockets are its own: the worker asks, when it knows who the client is.
    const refusal = isProxied ? null : this.#ipFilter.refuse(address, this.#counters, this.#log)
    if (refusal === 'close') return this.#refuse(socket)
    if (this.#pool.load() >= concurrency) {
      this.#counters.add(CONCURRENCY_LIMITED, 1)
      this.#log.debug({ ip: address }, 'connection was concurrency limited')
      return this.#refuse(socket)
    }
    const worker = this.#pool.leastLoaded()
    if (worker === null) {
      this.#counters.add(HAND_OFFS_FAILED, 1)
      socket.destroy()
      return
    }
    const source = isProxied ? null : address
    const admission = this.#handshakes.admit(worker.index, source, defense)
    if (!admission.ok) {
      countHandshakeLimited(this.#counters, admission.limit)
      this.#log.debug({ ip: address, limit: admission.limit }, 'connection was handshake limited')
      return this.#refuse(socket)
    }
    const known = {
      remoteAddress: address,
      remotePort,
      userHints: this.#userHints.find(address),
      mustFront: refusal === 'front',
      isProxied,
      handshakeSource: admission.source,
      acceptedAtMs: sharedNowMs(),
    }
    if (worker.handOff(socket, known)) return
    this.#handshakes.leave(worker.index, admission.source)
    this.#counters.add(HAND_OFFS_FAILED, 1)
    socket.destroy()
  }

  /** A FIN and nothing else, whatever the client has sent or will send. */
  #refuse(socket: Socket): void {
    this.#farewells.dismiss(socket, performance.now())
  }

  /** A worker found a user whom the hints did not have, or not in front. */
  remember({ remoteAddress, userSlot }: UserSeen): void {
    this.#userHints.remember(remoteAddress, userSlot)
  }
}
