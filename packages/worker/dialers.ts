import type { ProxyConfig } from '#shared/config'
import type { HostPort } from '#shared/dc'
import { AddressHealth } from '#shared/dial/address-health'
import { Resolver } from '#shared/dial/resolver'
import { LoopGuard } from '#shared/loop-guard'
import type { Clock } from './clock.ts'
import type { FrontDialer } from './domain-fronting/dial-front.ts'
import type { ByteSocket } from './socket/byte-socket.ts'
import type { DcDialer } from './telegram/dial-dc.ts'

export interface DialersOptions {
  readonly clock: Clock
  /** Where we listen, for the loop guard. */
  readonly listening: readonly HostPort[]
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<ByteSocket>
}

/** How a thread reaches data centres and fronting sites. What it has learnt of addresses outlives a reload. */
export class Dialers {
  readonly #options: DialersOptions
  readonly #health: AddressHealth
  readonly #resolver: Resolver
  #dc: DcDialer
  #front: FrontDialer

  constructor(config: ProxyConfig, options: DialersOptions) {
    this.#options = options
    this.#health = new AddressHealth()
    this.#resolver = new Resolver()
    this.#dc = this.#buildDc(config)
    this.#front = this.#buildFront(config)
  }

  get dc(): DcDialer {
    return this.#dc
  }

  get front(): FrontDialer {
    return this.#front
  }

  setConfig(config: ProxyConfig): void {
    this.#dc = this.#buildDc(config)
    this.#front = this.#buildFront(config)
  }

  #buildDc({ dcs, preferIp, allowFallbackOnUnknownDc, network }: ProxyConfig): DcDialer {
    const { clock, connect } = this.#options
    const timeoutMs = network.timeout.tcpMs
    return { dcs, preferIp, allowFallbackOnUnknownDc, timeoutMs, health: this.#health, clock, connect }
  }

  #buildFront({ publicIpv4, publicIpv6, network }: ProxyConfig): FrontDialer {
    const { clock, connect, listening } = this.#options
    const publicAddresses = [publicIpv4, publicIpv6].filter((address) => address !== null)
    const guard = new LoopGuard(listening, publicAddresses)
    return { resolver: this.#resolver, guard, clock, timeoutMs: network.timeout.tcpMs, connect }
  }
}
