import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import type { TestContext } from 'node:test'
import type { DnsCounter } from '#shared/dial/dns/name-source'
import { Resolver, type ResolverOptions } from '#shared/dial/resolver'
import type { DnsConfig } from '#shared/config'
import {
  type Answerer,
  DNS_SERVER_CERT,
  type Reply,
  startDnsServer,
  type TestDnsServer,
} from '../../../support/dns-server.ts'

/** Nothing on one machine takes this long unless it hangs. */
export const LIVENESS_MS = 15_000

/** For answers of both families on a machine that is busy with other things. */
export const PATIENT = { familyGraceMs: LIVENESS_MS }

/** Every kind of resolver that `network.dns` can name. */
export const KINDS = ['system', 'udp', 'tls', 'https', 'https over HTTP/1.1'] as const
export type Kind = (typeof KINDS)[number]
export type ServedKind = Exclude<Kind, 'system'>

export interface ResolverUnderTest {
  readonly resolver: Resolver
  /** How often somebody was asked for this name; both families of a name are one. */
  readonly timesAsked: (name: string) => number
  /** `transport outcome`, as they were counted. */
  readonly counted: string[]
  readonly hits: () => number
}

/** A resolver of this kind, behind which `answer` decides what there is. */
export async function startResolver(
  t: TestContext,
  kind: Kind,
  answer: Answerer,
  options: ResolverOptions = PATIENT,
): Promise<ResolverUnderTest> {
  const counts = createCounter()
  const common = { counted: counts.counted, hits: counts.hits }
  if (kind === 'system') {
    const asked = fakeSystem(t, answer)
    const resolver = new Resolver({ kind: 'system' }, { counter: counts.counter })
    return { ...common, resolver, timesAsked: (name) => asked.filter((each) => each === name).length }
  }
  const server = await startDnsServer(t, answer, { http1: kind === 'https over HTTP/1.1' })
  const resolver = connectTo(t, server, kind, { ...options, counter: counts.counter })
  return { ...common, resolver, timesAsked: (name) => server.askedFor(name, 'A').length }
}

/** A resolver that asks this server; unless told otherwise it waits for both families. */
export function connectTo(
  t: TestContext,
  server: TestDnsServer,
  kind: ServedKind,
  options: ResolverOptions = {},
): Resolver {
  const resolver = new Resolver(serverConfig(server, kind), { ca: DNS_SERVER_CERT, ...PATIENT, ...options })
  t.after(() => resolver.close())
  return resolver
}

export function serverConfig(server: TestDnsServer, kind: ServedKind, host = '127.0.0.1'): DnsConfig {
  switch (kind) {
    case 'udp':
      return { kind: 'udp', host, port: server.port }
    case 'tls':
      return { kind: 'tls', host, port: server.tlsPort }
    case 'https':
    case 'https over HTTP/1.1':
      return { kind: 'https', host, port: server.httpsPort, path: '/dns-query' }
  }
}

export function createCounter(): { counter: DnsCounter; counted: string[]; hits: () => number } {
  const counted: string[] = []
  let hits = 0
  const counter: DnsCounter = {
    countQuery: (transport, outcome) => counted.push(`${transport} ${outcome}`),
    countHit: () => (hits += 1),
  }
  return { counter, counted, hits: () => hits }
}

/** The system's resolver with another zone behind it; the names it was asked for. */
export function fakeSystem(t: TestContext, answer: Answerer): string[] {
  const names: string[] = []
  const { mock } = t.mock.method(dns, 'lookup', async (name: string) => {
    names.push(name)
    const asked = { transport: 'udp', name, id: 0, port: 0 } as const
    const replies = await Promise.all(['A', 'AAAA'].map(async (type) => answer({ ...asked, type })))
    const found = replies.flatMap((reply) => listAddresses(reply))
    if (found.length > 0) return found
    const isMissing = replies.every((reply) => reply !== null && !Buffer.isBuffer(reply) && reply.rcode !== 2)
    const code = isMissing ? 'ENOTFOUND' : 'EAI_AGAIN'
    throw Object.assign(new Error(`getaddrinfo ${code} ${name}`), { code })
  })
  syncBuiltinESMExports()
  t.after(() => {
    mock.restore()
    syncBuiltinESMExports()
  })
  return names
}

function listAddresses(reply: Reply): { address: string; family: number }[] {
  if (reply === null || Buffer.isBuffer(reply)) return []
  return (reply.answers ?? []).flatMap((record) =>
    record.type === 'A' || record.type === 'AAAA'
      ? [{ address: record.data, family: record.type === 'A' ? 4 : 6 }]
      : [],
  )
}

/** The caches' clock; they look at it again once the millisecond is over. */
export function fakeNow(t: TestContext): { pass: (ms: number) => Promise<void> } {
  let nowMs = performance.now()
  t.mock.method(performance, 'now', () => nowMs)
  return {
    pass: async (ms) => {
      nowMs += ms
      await new Promise((resolve) => setTimeout(resolve, 5))
    },
  }
}
