import type { LookupFunction } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { ProxyConfig, UpstreamProxy } from '#shared/config'
import type { DcAddress, DcTable } from '#shared/dc'
import { createHealthMemory, type HealthMemory } from '#shared/dial/address-health'
import type { SiteRoute } from '#shared/dial/dial-site'
import { buildRoute } from '#shared/dial/route'
import { UpstreamRegistry, type UpstreamSnapshot } from '#shared/dial/upstream-state'
import { monotonicMs } from '#shared/monotonic'
import type { RoutingValues, WorkerBoot } from '#shared/worker-control'
import { createHttpDial, type HttpDial } from './http-dial.ts'
import { DcAddressList } from './dc-addresses.ts'

/** The primary's side of all ways to Telegram: who has which slot, which addresses there are. */
export class Routing {
  readonly #upstreams: UpstreamRegistry
  readonly #health: HealthMemory
  readonly #addresses: DcAddressList
  #published: DcTable

  /** @throws OperatorError when there are too many upstream proxies */
  constructor(config: ProxyConfig) {
    this.#upstreams = new UpstreamRegistry()
    this.#health = createHealthMemory()
    this.#addresses = new DcAddressList()
    this.#published = {}
    this.setConfig(config)
  }

  /** @throws OperatorError when there are too many upstream proxies; nothing has changed then */
  setConfig(config: ProxyConfig): void {
    this.#upstreams.setConfig(config)
    this.#addresses.add(config.dcs)
  }

  /** Take up what Telegram publishes. Returns whether it is news. */
  publish(dcs: DcTable): boolean {
    if (isDeepStrictEqual(this.#published, dcs)) return false
    this.#published = dcs
    this.#addresses.add(dcs)
    return true
  }

  get dcAddresses(): readonly DcAddress[] {
    return this.#addresses.all
  }

  /** What threads are given when they start. */
  boot(): Pick<WorkerBoot, 'upstreams' | 'health' | 'routing'> {
    return { upstreams: this.#upstreams.memory, health: this.#health, routing: this.values() }
  }

  /** What threads are given when it changes. */
  values(): RoutingValues {
    return {
      published: this.#published,
      dcAddresses: this.#addresses.all,
      upstreams: this.#upstreams.slots,
    }
  }

  listUpstreams(): readonly UpstreamSnapshot[] {
    return this.#upstreams.list(monotonicMs())
  }

  /** What a task needs to take the same ways as clients' connections. */
  taskUpstreams(): Pick<SiteRoute, 'memory' | 'slots'> {
    const { memory, slots } = this.#upstreams
    return { memory, slots }
  }

  /** How the primary's own requests go out: by the ways of a list of the configuration, as clients' connections do. */
  httpDial(proxies: readonly UpstreamProxy[], timeoutMs: number, lookup: LookupFunction): HttpDial {
    const { memory, slots } = this.#upstreams
    return createHttpDial(buildRoute(proxies, memory, slots), timeoutMs, lookup)
  }
}
