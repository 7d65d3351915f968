import { formatHostPort, type HostPort } from '../dc.ts'
import { DialError } from '../errors.ts'
import { monotonicMs } from '../monotonic.ts'
import type { AddressHealth } from './address-health.ts'
import type { Permit } from './circuit-breaker.ts'
import { dialFirst, STAGGER_MS, TIMED_OUT, toDialError, type Dialled } from './dial.ts'
import { formatAttempt, planAttempts, type Attempt, type Route, type Upstream } from './route.ts'

/**
 * The stagger through a proxy: a direct connection takes one round trip, this one takes up to four with the server and
 * one between it and the target.
 */
export const UPSTREAM_STAGGER_MS: number = 4 * STAGGER_MS

export interface DialThroughOptions<T> {
  readonly route: Route
  /** In the order to try. */
  readonly addresses: readonly HostPort[]
  /** For one attempt, the negotiation with a proxy included. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** What is known of addresses, so that doubtful ones go last; null to forget nothing and learn nothing. */
  readonly health: AddressHealth | null
  /** Open one connection; rejects when it fails, and closes what it began when `signal` fires. */
  readonly open: (address: HostPort, upstream: Upstream, signal: AbortSignal) => Promise<T>
  readonly discard: (connection: T) => void
}

/**
 * Dial several addresses by the ways of a route, staggered, with fail-over between both (decisions W10, W13).
 * @throws DialError of the last failure; `upstream` when it is the proxy's; `no-addresses`; `aborted`
 */
export async function dialThrough<T>(options: DialThroughOptions<T>): Promise<Dialled<T, Attempt>> {
  const { route, addresses, health, timeoutMs, signal, discard } = options
  const startedMs = monotonicMs()
  const planned = planAttempts(route, addresses, startedMs)
  const attempts = health === null ? planned : sortByHealth(planned, health)
  if (health !== null) probeDoubtful(attempts, health, startedMs, options)
  const permits = new Map<Attempt, Permit>()
  const dialled = await dialFirst<T, Attempt>({
    addresses: attempts,
    timeoutMs,
    signal,
    connect: (attempt, own) => openCounted(attempt, own, options, permits),
    discard,
    onFailure: (attempt, error, winner) => {
      if (error.code === 'no-descriptors') return // ours, and nobody else's
      // Another way answered where this one was silent; with the same way it is the address that is silent.
      const isWays = winner !== null && winner.upstream !== attempt.upstream
      if (isWays) {
        permits.get(attempt)?.fail(monotonicMs())
        attempt.upstream.state.countFailure()
      }
      // It may be both, unless the answer came from the very address; without a breaker there is nothing else to tell.
      const hasBreaker = attempt.upstream.state.breaker !== null
      const isAddresses = !isWays || !hasBreaker || formatHostPort(winner) !== formatHostPort(attempt)
      if (isAddresses && error.code !== 'upstream' && error.code !== 'aborted')
        health?.reportFailure(formatAttempt(attempt), monotonicMs())
    },
    format: formatAttempt,
    staggerMs: ({ upstream }) => (upstream.proxy.kind === 'direct' ? STAGGER_MS : UPSTREAM_STAGGER_MS),
  })
  health?.reportSuccess(formatAttempt(dialled.address))
  return dialled
}

function sortByHealth(attempts: readonly Attempt[], health: AddressHealth): readonly Attempt[] {
  const doubtful = attempts.filter((attempt) => health.isDoubtful(formatAttempt(attempt)))
  if (doubtful.length === 0) return attempts
  return [...attempts.filter((attempt) => !doubtful.includes(attempt)), ...doubtful]
}

/**
 * Look at an address again that failed long enough ago, beside the dial and not instead of it: only an answer ends the
 * doubt, so that an address that is still dead costs nobody anything.
 */
function probeDoubtful<T>(
  attempts: readonly Attempt[],
  health: AddressHealth,
  nowMs: number,
  options: DialThroughOptions<T>,
): void {
  const due = attempts.find((attempt) => health.claimProbe(formatAttempt(attempt), nowMs))
  if (due === undefined) return
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(TIMED_OUT), options.timeoutMs)
  openCounted(due, limit.signal, options, new Map())
    .then(
      (connection) => {
        health.reportSuccess(formatAttempt(due))
        options.discard(connection)
      },
      () => {}, // as doubtful as before
    )
    .finally(() => clearTimeout(timer))
}

/** One attempt, told to the counters and the breaker of its way. */
async function openCounted<T>(
  attempt: Attempt,
  signal: AbortSignal,
  { open }: DialThroughOptions<T>,
  permits: Map<Attempt, Permit>,
): Promise<T> {
  const { upstream, host, port } = attempt
  const { state, name } = upstream
  const permit = state.breaker?.tryEnter(monotonicMs())
  if (permit === null)
    throw new DialError(
      'upstream',
      `${formatAttempt(attempt)}: ${name} has failed too often and is left alone`,
    )
  if (permit !== undefined) permits.set(attempt, permit)
  state.countDial()
  try {
    const connection = await open({ host, port }, upstream, signal)
    permit?.succeed()
    return connection
  } catch (error) {
    if (isOurs(error, signal)) permit?.cancel()
    else if (isTargetsFault(error, signal)) permit?.succeed()
    else {
      permit?.fail(monotonicMs())
      state.countFailure()
    }
    if (error instanceof DialError)
      throw new DialError(error.code, `${formatHostPort(attempt)}: ${error.message}`, { cause: error })
    throw error
  }
}

/** The client left, or we have no descriptor: nothing was learnt of anybody. */
function isOurs(error: unknown, signal: AbortSignal): boolean {
  if (signal.aborted) return signal.reason !== TIMED_OUT
  return toDialError(error, '').code === 'no-descriptors'
}

/** The proxy answered in order that the target does not. Without a proxy every failure counts. */
function isTargetsFault(error: unknown, signal: AbortSignal): boolean {
  return (
    !signal.aborted && error instanceof DialError && error.code !== 'upstream' && error.code !== 'timeout'
  )
}
