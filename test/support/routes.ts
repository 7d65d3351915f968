import type { Socks5Proxy, UpstreamProxy } from '#shared/config'
import { AddressHealth, createHealthMemory } from '#shared/dial/address-health'
import { buildRoute, type Route } from '#shared/dial/route'
import { UpstreamRegistry } from '#shared/dial/upstream-state'

/** A SOCKS5 server on this machine as the configuration has it, with the breaker's defaults. */
export function socks5(port: number, changes: Partial<Socks5Proxy> = {}): Socks5Proxy {
  return {
    kind: 'socks5',
    host: '127.0.0.1',
    port,
    username: null,
    password: null,
    openThreshold: 5,
    halfOpenTimeoutMs: 60_000,
    resetFailuresTimeoutMs: 10_000,
    ...changes,
  }
}

export const DIRECT: UpstreamProxy = { kind: 'direct' }

/** A route with memory of its own. */
export function createRoute(proxies: readonly UpstreamProxy[] = []): Route {
  return createCountedRoute(proxies).route
}

/** The same, with what is counted on it. */
export function createCountedRoute(proxies: readonly UpstreamProxy[]): {
  route: Route
  registry: UpstreamRegistry
} {
  const registry = new UpstreamRegistry()
  // Of the network only the proxies are looked at.
  registry.setConfig({ network: { proxies } as never, dcRoutes: {} })
  return { route: buildRoute(proxies, registry.memory, registry.slots), registry }
}

export function createHealth(): AddressHealth {
  return new AddressHealth(createHealthMemory())
}
