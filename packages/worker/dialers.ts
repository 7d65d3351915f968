import type { ProxyConfig, UpstreamProxy } from '#shared/config'
import type { HostPort } from '#shared/dc'
import { AddressHealth, type HealthMemory } from '#shared/dial/address-health'
import type { DnsCounter } from '#shared/dial/dns/name-source'
import { LiveResolver } from '#shared/dial/live-resolver'
import { buildRoute, type Route } from '#shared/dial/route'
import type { UpstreamMemory } from '#shared/dial/upstream-state'
import { LoopGuard } from '#shared/loop-guard'
import type { RoutingValues } from '#shared/worker-control'
import type { Clock } from './clock.ts'
import type { FrontDialer } from './domain-fronting/dial-front.ts'
import type { ByteSocket } from './socket/byte-socket.ts'
import { connectThrough } from './socket/connect-through.ts'
import type { DcDialer } from './telegram/dial-dc.ts'

export interface DialersOptions {
  readonly clock: Clock
  /** Where we listen, for the loop guard. */
  readonly listening: readonly HostPort[]
  readonly upstreams: UpstreamMemory
  readonly health: HealthMemory
  readonly dnsCounter: DnsCounter
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<ByteSocket>
}

/** How a thread reaches data centres and fronting sites. What it has learnt of addresses outlives a reload. */
export class Dialers {
  readonly #options: DialersOptions
  readonly #health: AddressHealth
  readonly #resolver: LiveResolver
  #dc: DcDialer
  #front: FrontDialer

  constructor(config: ProxyConfig, routing: RoutingValues, options: DialersOptions) {
    this.#options = options
    this.#health = new AddressHealth(options.health)
    this.#resolver = new LiveResolver(config.network.dns, options.dnsCounter)
    this.#dc = this.#buildDc(config, routing)
    this.#front = this.#buildFront(config, routing)
  }

  get dc(): DcDialer {
    return this.#dc
  }

  get front(): FrontDialer {
    return this.#front
  }

  setConfig(config: ProxyConfig, routing: RoutingValues): void {
    this.#resolver.setDns(config.network.dns)
    this.#dc = this.#buildDc(config, routing)
    this.#front = this.#buildFront(config, routing)
  }

  /** Nobody dials any more. */
  close(): void {
    this.#resolver.close()
  }

  #buildDc(config: ProxyConfig, routing: RoutingValues): DcDialer {
    const { dcs, dcRoutes, preferIp, allowFallbackOnUnknownDc, network } = config
    const usual = this.#buildRoute(network.proxies, routing)
    const own = new Map(
      Object.entries(dcRoutes).map(([dc, proxies]) => [Number(dc), this.#buildRoute(proxies, routing)]),
    )
    return {
      dcs,
      published: routing.published,
      preferIp,
      allowFallbackOnUnknownDc,
      timeoutMs: network.timeout.tcpMs,
      health: this.#health,
      routeTo: (dc) => own.get(Math.abs(dc)) ?? usual,
      connect: this.#buildConnect(network.timeout.tcpMs),
    }
  }

  #buildFront(
    { publicIpv4, publicIpv6, network, domainFronting }: ProxyConfig,
    routing: RoutingValues,
  ): FrontDialer {
    const { clock, listening } = this.#options
    const publicAddresses = [publicIpv4, publicIpv6].filter((address) => address !== null)
    return {
      resolver: this.#resolver,
      guard: new LoopGuard(listening, publicAddresses),
      clock,
      timeoutMs: network.timeout.tcpMs,
      route: this.#buildRoute(domainFronting.viaProxies ? network.proxies : [], routing),
      connect: this.#buildConnect(network.timeout.tcpMs),
    }
  }

  #buildRoute(proxies: readonly UpstreamProxy[], { upstreams }: RoutingValues): Route {
    return buildRoute(proxies, this.#options.upstreams, upstreams)
  }

  #buildConnect(timeoutMs: number): DcDialer['connect'] {
    const options = { resolver: this.#resolver, timeoutMs, connect: this.#options.connect }
    return (address, proxy, signal) => connectThrough(address, proxy, options, signal)
  }
}
