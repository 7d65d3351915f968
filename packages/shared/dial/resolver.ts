import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import { DialError } from '#shared/errors'

/** The system resolver gives no time to live; a fronting site that moves is followed within a minute. */
const POSITIVE_TTL_MS = 60_000
/** A failure is remembered just long enough that a storm of probes does not become a storm of queries. */
const NEGATIVE_TTL_MS = 5_000
/** Hosts of all users, and some that went. */
const MAX_ENTRIES = 1024

type Answer = { ok: true; addresses: readonly string[] } | { ok: false; error: DialError }

/** Host names to addresses by the system's resolver, with a cache; questions for one name are asked once. */
export class Resolver {
  readonly #answers: LRUCache<string, Promise<Answer>>

  constructor() {
    this.#answers = new LRUCache({ max: MAX_ENTRIES })
  }

  /**
   * Addresses of a host in the system's order; an IP literal is its own.
   * @throws DialError `unresolved`
   */
  async resolve(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host]
    let pending = this.#answers.get(host)
    if (pending === undefined) {
      pending = this.#ask(host)
      this.#answers.set(host, pending, { ttl: POSITIVE_TTL_MS })
    }
    const answer = await pending
    if (!answer.ok) throw answer.error
    return answer.addresses
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

  async #ask(host: string): Promise<Answer> {
    try {
      const found = await lookup(host, { all: true })
      return { ok: true, addresses: found.map((entry) => entry.address) }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      const error = new DialError('unresolved', `cannot resolve ${host}: ${reason}`, { cause })
      const failed = Promise.resolve<Answer>({ ok: false, error })
      this.#answers.set(host, failed, { ttl: NEGATIVE_TTL_MS })
      return failed
    }
  }
}
