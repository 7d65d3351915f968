import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { DialError } from '#shared/errors'
import { AnswerCache, type Found } from './answer-cache.ts'
import type { DnsCounter, Family, NameSource } from './name-source.ts'

/** The system's resolver gives no time to live; a fronting site that moves is followed within a minute. */
const TTL_MS = 60_000

/** Names by the system's resolver, the file of hosts included; addresses come in the system's order. */
export class SystemNames implements NameSource {
  readonly #cache: AnswerCache
  readonly #counter: DnsCounter

  constructor(counter: DnsCounter) {
    this.#cache = new AnswerCache(() => counter.countHit())
    this.#counter = counter
  }

  async find(name: string, family: Family): Promise<readonly string[]> {
    const { addresses, failure } =
      this.#cache.peek(name) ?? (await this.#cache.find(name, (signal) => this.#ask(name, signal)))
    if (failure !== null)
      throw new DialError('unresolved', `cannot resolve ${name}: ${failure.message}`, { cause: failure })
    const wanted = family === 0 ? addresses : addresses.filter((address) => isIP(address) === family)
    if (wanted.length > 0) return wanted
    throw new DialError('unresolved', `cannot resolve ${name}: it has no IPv${family} address`)
  }

  close(): void {}

  async #ask(name: string, signal: AbortSignal): Promise<Found> {
    const onLate = (): void => this.#counter.countQuery('system', 'timeout')
    signal.addEventListener('abort', onLate)
    try {
      const found = await lookup(name, { all: true })
      if (!signal.aborted) this.#counter.countQuery('system', 'ok')
      return { addresses: found.map((entry) => entry.address), failure: null, ttlMs: TTL_MS }
    } catch (error) {
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOTFOUND'
      if (!signal.aborted) this.#counter.countQuery('system', isMissing ? 'no-address' : 'failed')
      throw error
    } finally {
      signal.removeEventListener('abort', onLate)
    }
  }
}
