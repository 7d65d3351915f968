import type { LookupFunction } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { DnsConfig } from '#shared/config'
import type { DnsCounter, Family } from './dns/name-source.ts'
import { type HostResolver, Resolver } from './resolver.ts'

/**
 * The resolver of the configuration in force, to be held for as long as one likes. A reload that changes `network.dns`
 * puts a new one behind it; whoever asked the one before still gets its answer.
 */
export class LiveResolver implements HostResolver {
  readonly #counter: DnsCounter
  #dns: DnsConfig
  #current: Resolver

  constructor(dns: DnsConfig, counter: DnsCounter) {
    this.#counter = counter
    this.#dns = dns
    this.#current = new Resolver(dns, { counter })
  }

  resolve(host: string, family?: Family): Promise<readonly string[]> {
    return this.#current.resolve(host, family)
  }

  resolveWithin(host: string, timeoutMs: number, signal: AbortSignal): Promise<readonly string[]> {
    return this.#current.resolveWithin(host, timeoutMs, signal)
  }

  get lookup(): LookupFunction {
    return (host, options, done) => this.#current.lookup(host, options, done)
  }

  /** What the one before remembers is forgotten with it. */
  setDns(dns: DnsConfig): void {
    if (isDeepStrictEqual(dns, this.#dns)) return
    this.#current.close()
    this.#dns = dns
    this.#current = new Resolver(dns, { counter: this.#counter })
  }

  close(): void {
    this.#current.close()
  }
}
