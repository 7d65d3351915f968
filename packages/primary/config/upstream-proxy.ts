import type { UpstreamProxy } from '#shared/config'
import { formatHostPort } from '#shared/dc'

import { canonicalizeIp, isDialable } from './address.ts'
import { decodeList, decodeOneOrMore, type Decoder, fail, MAX_COUNT } from './decoders.ts'
import { decodeDurationMs, formatDuration } from './duration.ts'
import { describeLocation, parseLocation } from './location.ts'
import type { Shown } from './schema-row.ts'

/** RFC 1928 §3 */
const SOCKS_PORT = 1080
/** RFC 1929 §2: one byte holds the length of each. */
const MAX_CREDENTIAL_BYTES = 255
// What the reference documents for its circuit breaker.
const OPEN_THRESHOLD = 5
const HALF_OPEN_TIMEOUT_MS = 60_000
const RESET_FAILURES_TIMEOUT_MS = 10_000

const EXPECTED = 'expected "socks5://[user:password@]host[:port]", or "" for a direct connection'

type Breaker = Pick<
  Extract<UpstreamProxy, { kind: 'socks5' }>,
  'openThreshold' | 'halfOpenTimeoutMs' | 'resetFailuresTimeoutMs'
>

/** One way to Telegram (operator.md §1.2, Proxy URL; decision W13). No error and no notice repeats a credential. */
const decodeProxy: Decoder<UpstreamProxy> = (found) => {
  if (found === '') return { ok: true, value: { kind: 'direct' } }
  const location = typeof found === 'string' ? parseLocation(found) : null
  const refuse = (expected: string): ReturnType<Decoder<never>> => ({
    ...fail(expected),
    found: describeLocation(found),
  })
  // socks5h is the same: names go to the server unresolved either way (operator.md §10.6).
  if (location === null || !/^socks5h?$/.test(location.scheme) || !isDialable(location.host))
    return refuse(EXPECTED)
  const { username, password, query } = location
  if (Math.max(...[username, password].map((text) => Buffer.byteLength(text ?? ''))) > MAX_CREDENTIAL_BYTES)
    return refuse(`expected a user name and a password of at most ${MAX_CREDENTIAL_BYTES} bytes each`)
  const { breaker, notices } = readBreaker(query)
  return {
    ok: true,
    value: {
      kind: 'socks5',
      host: canonicalizeIp(location.host),
      port: location.port ?? SOCKS_PORT,
      username,
      password,
      ...breaker,
    },
    ...(notices.length === 0 ? {} : { notice: notices.join('; ') }),
  }
}

export const decodeProxies: Decoder<readonly UpstreamProxy[]> = decodeList(decodeProxy)

/** The ways to one data centre. */
export const decodeRoute: Decoder<readonly UpstreamProxy[]> = decodeOneOrMore(
  decodeProxy,
  'upstream; "" is a direct connection',
)

/** `socks5://…@10.0.0.1:1080?open_threshold=5&…`, credentials masked; `""` for direct. */
export function showProxy(proxy: UpstreamProxy): string {
  if (proxy.kind === 'direct') return ''
  const credentials = proxy.username === null ? '' : '…@'
  const breaker = [
    `open_threshold=${proxy.openThreshold}`,
    `half_open_timeout=${formatDuration(proxy.halfOpenTimeoutMs)}`,
    `reset_failures_timeout=${formatDuration(proxy.resetFailuresTimeoutMs)}`,
  ]
  return `socks5://${credentials}${formatHostPort(proxy)}?${breaker.join('&')}`
}

export function showProxies(proxies: readonly UpstreamProxy[]): Shown {
  return proxies.map(showProxy)
}

/** The reference takes anything here and ignores it, so that nothing in a query refuses a start. */
function readBreaker(query: URLSearchParams): { breaker: Breaker; notices: string[] } {
  const notices: string[] = []
  const read = (name: string, parse: (text: string) => number | undefined, fallback: number): number => {
    const text = query.get(name)
    const value = text === null ? undefined : parse(text)
    if (text !== null && value === undefined) notices.push(`${name} is not valid, its default holds`)
    return value ?? fallback
  }
  const breaker = {
    openThreshold: read('open_threshold', parseThreshold, OPEN_THRESHOLD),
    halfOpenTimeoutMs: read('half_open_timeout', parseTimeoutMs, HALF_OPEN_TIMEOUT_MS),
    resetFailuresTimeoutMs: read('reset_failures_timeout', parseTimeoutMs, RESET_FAILURES_TIMEOUT_MS),
  }
  const known = ['open_threshold', 'half_open_timeout', 'reset_failures_timeout']
  // The name itself is not shown: it may be a piece of a password with a question mark in it.
  if ([...query.keys()].some((name) => !known.includes(name)))
    notices.push(`only ${known.join(', ')} are known after the question mark`)
  return { breaker, notices }
}

function parseThreshold(text: string): number | undefined {
  const value = /^\d{1,7}$/.test(text) ? Number(text) : 0
  return value >= 1 && value <= MAX_COUNT ? value : undefined
}

function parseTimeoutMs(text: string): number | undefined {
  const decoded = decodeDurationMs(text)
  return decoded.ok && decoded.value > 0 ? decoded.value : undefined
}
