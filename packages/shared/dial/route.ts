import type { UpstreamProxy } from '../config.ts'
import { formatHostPort, type HostPort } from '../dc.ts'
import { BugError } from '../errors.ts'
import {
  nameUpstream,
  UpstreamState,
  upstreamKey,
  type UpstreamMemory,
  type UpstreamSlots,
} from './upstream-state.ts'

/** One dial tries at most so many pairs of a way and an address. */
const MAX_ATTEMPTS = 16

/** One way out, as a thread uses it. */
export interface Upstream {
  readonly proxy: UpstreamProxy
  readonly name: string
  readonly state: UpstreamState
}

/** Ways that are taken in turn, each the others' stand-in. Never empty. */
export type Route = readonly [Upstream, ...Upstream[]]

/** An address and the way there. */
export interface Attempt extends HostPort {
  readonly upstream: Upstream
}

/** The ways that a list of the configuration names; the direct one when it is empty. */
export function buildRoute(
  proxies: readonly UpstreamProxy[],
  memory: UpstreamMemory,
  slots: UpstreamSlots,
): Route {
  const build = (proxy: UpstreamProxy): Upstream => {
    const name = nameUpstream(proxy)
    const slot = slots.get(upstreamKey(proxy))
    if (slot === undefined) throw new BugError(`the upstream ${name} has no slot`)
    return { proxy, name, state: new UpstreamState(memory, slot, proxy) }
  }
  const [first = { kind: 'direct' }, ...others] = proxies
  return [build(first), ...others.map(build)]
}

/**
 * Every way to every address in the order to try. Each attempt differs from the one before in both, so that neither a
 * dead proxy nor a dead address costs more than one stagger. Ways whose breaker is open come last.
 */
export function planAttempts(
  route: Route,
  addresses: readonly HostPort[],
  nowMs: number,
): readonly Attempt[] {
  const ways = orderWays(route, nowMs)
  const attempts: Attempt[] = []
  for (let round = 0; round < addresses.length; round++) {
    for (const [at, upstream] of ways.entries()) {
      const { host, port } = addresses[(round + at) % addresses.length]! // inside by the remainder
      attempts.push({ host, port, upstream })
    }
  }
  return attempts.slice(0, MAX_ATTEMPTS)
}

function orderWays(route: Route, nowMs: number): readonly Upstream[] {
  if (route.length === 1) return route
  const start = route[0].state.nextTurn() % route.length
  const ways = [...route.slice(start), ...route.slice(0, start)]
  const isOpen = ({ state }: Upstream): boolean => state.breaker?.isOpen(nowMs) === true
  return [...ways.filter((way) => !isOpen(way)), ...ways.filter(isOpen)]
}

/** `149.154.167.51:443`, `149.154.167.51:443 through 127.0.0.1:1080` */
export function formatAttempt(attempt: Attempt): string {
  const address = formatHostPort(attempt)
  return attempt.upstream.proxy.kind === 'direct' ? address : `${address} through ${attempt.upstream.name}`
}
