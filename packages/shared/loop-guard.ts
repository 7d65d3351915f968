import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'
import type { HostPort } from './dc.ts'

/** Interfaces change seldom, probes come often: look again after this long. */
const INTERFACES_TTL_MS = 10_000

const LOOPBACK = ['127.0.0.1', '::1'] as const

/**
 * Tells whether dialling an address would reach this proxy again, which would make one probe an endless loop
 * (decision W16): a bind address itself, our public address with a bind port, or any address of this machine with
 * the port of a listener that is bound to all of them.
 */
export class LoopGuard {
  readonly #exact: ReadonlySet<string>
  readonly #wildcardPorts: ReadonlySet<number>
  readonly #listLocal: () => readonly string[]
  #local: ReadonlySet<string>
  #localReadAtMs: number

  constructor(
    listening: readonly HostPort[],
    publicAddresses: readonly string[],
    listLocal: () => readonly string[] = listInterfaceAddresses,
  ) {
    const exact = new Set<string>()
    const wildcardPorts = new Set<number>()
    for (const { host, port } of listening) {
      exact.add(endpoint(host, port))
      if (isWildcard(host)) wildcardPorts.add(port)
      for (const address of publicAddresses) exact.add(endpoint(address, port))
    }
    this.#exact = exact
    this.#wildcardPorts = wildcardPorts
    this.#listLocal = listLocal
    this.#local = new Set()
    this.#localReadAtMs = -Infinity
  }

  isOurs({ host, port }: HostPort, nowMs: number): boolean {
    if (this.#exact.has(endpoint(host, port))) return true
    // To dial no address in particular is to dial this host.
    if (isWildcard(host) && LOOPBACK.some((address) => this.#exact.has(endpoint(address, port)))) return true
    if (!this.#wildcardPorts.has(port)) return false
    if (nowMs - this.#localReadAtMs > INTERFACES_TTL_MS) {
      this.#localReadAtMs = nowMs
      this.#local = this.#readLocal()
    }
    const address = ipaddr.process(host)
    return address.range() === 'loopback' || isWildcard(host) || this.#local.has(canonical(host))
  }

  /** Out of descriptors the system does not tell; then what it said last has to do. */
  #readLocal(): ReadonlySet<string> {
    try {
      return new Set(this.#listLocal().map(canonical))
    } catch {
      return this.#local
    }
  }
}

function isWildcard(host: string): boolean {
  return ipaddr.process(host).range() === 'unspecified'
}

/** One spelling per address: IPv4-mapped becomes IPv4, IPv6 is written out. */
function canonical(host: string): string {
  return ipaddr.process(host).toNormalizedString()
}

function endpoint(host: string, port: number): string {
  return `${canonical(host)} ${port}`
}

function listInterfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).map((address) => address.address),
  )
}
