import { isIP, type LookupFunction } from 'node:net'
import type { DnsConfig } from '#shared/config'
import { formatHostPort } from '#shared/dc'
import { DialError } from '#shared/errors'
import { createHttpsTransport } from './dns/https.ts'
import { HostsFile } from './dns/hosts-file.ts'
import { isHostName } from './dns/message.ts'
import type { DnsCounter, Family, NameSource } from './dns/name-source.ts'
import { FAMILY_GRACE_MS, ServerNames } from './dns/server-names.ts'
import { SystemNames } from './dns/system-names.ts'
import { createTcpTransport } from './dns/tcp.ts'
import { createTlsTransport } from './dns/tls.ts'
import type { DnsTransport } from './dns/transport.ts'
import { UdpTransport } from './dns/udp.ts'

const UNCOUNTED: DnsCounter = { countQuery() {}, countHit() {} }
const SYSTEM: DnsConfig = { kind: 'system' }

export interface ResolverOptions {
  readonly counter?: DnsCounter
  /** PEM certificates to trust in place of the system's. */
  readonly ca?: string
  /** In place of `/etc/hosts`. */
  readonly hostsPath?: string
  /** What the slower family gets once the other one has addresses. Default 50 ms. */
  readonly familyGraceMs?: number
}

/** What most need of one. */
export type HostResolver = Pick<Resolver, 'resolve' | 'resolveWithin' | 'lookup'>

/**
 * Host names to addresses as `network.dns` says, with a cache; questions for one name are asked once. Opens connections
 * when there is something to ask, and keeps no thread and no command from ending.
 */
export class Resolver {
  readonly #names: NameSource
  /** For names that mean something to this host alone. */
  readonly #local: NameSource
  /** null: the system looks there itself. */
  readonly #hosts: HostsFile | null

  constructor(dns: DnsConfig = SYSTEM, options: ResolverOptions = {}) {
    this.#local = new SystemNames(options.counter ?? UNCOUNTED)
    this.#hosts = dns.kind === 'system' ? null : new HostsFile(options.hostsPath)
    this.#names = dns.kind === 'system' ? this.#local : createServerNames(dns, options)
  }

  /**
   * Addresses of a host, those to try first in front; an IP literal is its own.
   * @throws DialError `unresolved`
   */
  async resolve(host: string, family: Family = 0): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host]
    const name = host.toLowerCase().replace(/\.$/, '')
    if (!isHostName(name)) throw new DialError('unresolved', `cannot resolve ${host}: not a host name`)
    if (isLocal(name)) return this.#local.find(name, family)
    const fixed = (await this.#hosts?.find(name, family)) ?? []
    return fixed.length > 0 ? fixed : this.#names.find(name, family)
  }

  /**
   * As `resolve`, but nobody waits longer than `timeoutMs`, or after `signal`; the question itself goes on for others.
   * @throws DialError `unresolved`, `aborted`
   */
  async resolveWithin(host: string, timeoutMs: number, signal: AbortSignal): Promise<readonly string[]> {
    const { promise, reject } = Promise.withResolvers<never>()
    const onAbort = (): void =>
      reject(new DialError('aborted', 'the client left while its host was resolved'))
    const timer = setTimeout(() => {
      reject(new DialError('unresolved', `cannot resolve ${host}: timed out after ${timeoutMs} ms`))
    }, timeoutMs)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    try {
      return await Promise.race([this.resolve(host), promise])
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** For the `lookup` option of `net.connect`, `tls.connect` and `http.request`. */
  get lookup(): LookupFunction {
    return (host, { family, all }, done) => {
      const wanted: Family = family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : 0
      // In a tick of its own: what the callback throws is not ours to catch.
      this.resolve(host, wanted).then(
        (found) => {
          const addresses = found.map((address) => ({ address, family: isIP(address) }))
          const [first] = addresses
          if (all === true) process.nextTick(done, null, addresses)
          else process.nextTick(done, null, first?.address, first?.family)
        },
        (error: unknown) => process.nextTick(done, error),
      )
    }
  }

  /** Connections to name servers close after the last answer that somebody waits for. Calling it twice is fine. */
  close(): void {
    this.#names.close()
  }
}

function createServerNames(
  dns: Exclude<DnsConfig, { kind: 'system' }>,
  { counter = UNCOUNTED, ca, familyGraceMs = FAMILY_GRACE_MS }: ResolverOptions,
): NameSource {
  // Without the path, which with some services tells who the customer is.
  const label = `${dns.kind}://${formatHostPort(dns)}`
  const ask = (transport: DnsTransport, large: DnsTransport | null = null): NameSource =>
    new ServerNames({ label, transport, large }, counter, familyGraceMs)
  switch (dns.kind) {
    case 'udp':
      return ask(new UdpTransport(dns), createTcpTransport(dns))
    case 'tls':
      return ask(createTlsTransport(dns, ca))
    case 'https':
      return ask(createHttpsTransport(dns, ca))
  }
}

/** RFC 6761 §6.3, and what only the system's file of hosts or search list can know. */
function isLocal(name: string): boolean {
  return !name.includes('.') || name.endsWith('.localhost')
}
