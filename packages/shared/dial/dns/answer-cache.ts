import { LRUCache } from 'lru-cache'
import { DialError } from '#shared/errors'
import { AskLimit } from './ask-limit.ts'

/** Addresses, or why there are none, and how long this holds. */
export interface Found {
  readonly addresses: readonly string[]
  /** null when there are addresses. */
  readonly failure: Error | null
  readonly ttlMs: number
}

/** Hosts of all users in both families, and some that went. */
const MAX_ENTRIES = 2048
/** A site that moved is followed within the hour, whatever its records say. */
const MAX_TTL_MS = 3_600_000
/** Some records allow no caching at all: a storm of probes must not become a storm of queries. */
const MIN_TTL_MS = 5_000
/** A name that is not there may be set up in this moment. */
const MAX_NEGATIVE_TTL_MS = 60_000
/** For one question, from the moment it is its turn. */
const QUESTION_TIMEOUT_MS = 5_000

/** Answers by key, with their time to live; a question is asked once for all who want to know at the same time. */
export class AnswerCache {
  readonly #answers: LRUCache<string, Found>
  readonly #inFlight: Map<string, Promise<Found>>
  readonly #limit: AskLimit
  readonly #onHit: () => void

  constructor(onHit: () => void) {
    this.#answers = new LRUCache({ max: MAX_ENTRIES })
    this.#inFlight = new Map()
    this.#limit = new AskLimit()
    this.#onHit = onHit
  }

  /** What is known now, or null. */
  peek(key: string): Found | null {
    const known = this.#answers.get(key)
    if (known !== undefined) this.#onHit()
    return known ?? null
  }

  /** What `ask` finds out; it is called unless somebody asks already, and its signal fires after `QUESTION_TIMEOUT_MS`. */
  find(key: string, ask: (signal: AbortSignal) => Promise<Found>): Promise<Found> {
    let pending = this.#inFlight.get(key)
    if (pending === undefined) {
      pending = this.#ask(ask).then((found) => {
        this.#inFlight.delete(key)
        if (!isRefused(found)) this.#answers.set(key, found, { ttl: clampTtlMs(found) })
        return found
      })
      this.#inFlight.set(key, pending)
    }
    return pending
  }

  /** Never rejects. */
  async #ask(ask: (signal: AbortSignal) => Promise<Found>): Promise<Found> {
    try {
      return await this.#limit.run(() => askWithin(ask))
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      return { addresses: [], failure, ttlMs: 0 }
    }
  }
}

async function askWithin(ask: (signal: AbortSignal) => Promise<Found>): Promise<Found> {
  const limit = new AbortController()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    limit.abort()
    late.reject(new Error(`no answer within ${QUESTION_TIMEOUT_MS} ms`))
  }, QUESTION_TIMEOUT_MS)
  try {
    // The system's resolver does not stop when it is told to.
    return await Promise.race([ask(limit.signal), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Nobody was asked: there was no room in the line. */
function isRefused({ failure }: Found): boolean {
  return failure instanceof DialError && failure.code === 'limit'
}

function clampTtlMs({ failure, ttlMs }: Found): number {
  return Math.max(MIN_TTL_MS, Math.min(ttlMs, failure === null ? MAX_TTL_MS : MAX_NEGATIVE_TTL_MS))
}
