import { DialError } from '#shared/errors'
import { AnswerCache, type Found } from './answer-cache.ts'
import type { DnsAnswer, Question, RecordType } from './message.ts'
import type { DnsCounter, Family, NameSource } from './name-source.ts'
import type { DnsTransport, QueryOutcome } from './transport.ts'

/** RFC 8305 §3, the resolution delay. */
export const FAMILY_GRACE_MS = 50

export interface NameServer {
  /** Such as `udp://192.0.2.1:53`, for messages. */
  readonly label: string
  readonly transport: DnsTransport
  /** For answers that do not fit; null where everything does. */
  readonly large: DnsTransport | null
}

/** Names by a name server of the operator's choice. Both families are asked at once, and cached each for itself. */
export class ServerNames implements NameSource {
  readonly #server: NameServer
  readonly #cache: AnswerCache
  readonly #counter: DnsCounter
  readonly #graceMs: number

  /** @param graceMs what the slower family gets once the other one has addresses */
  constructor(server: NameServer, counter: DnsCounter, graceMs: number) {
    this.#server = server
    this.#cache = new AnswerCache(() => counter.countHit())
    this.#counter = counter
    this.#graceMs = graceMs
  }

  async find(name: string, family: Family): Promise<readonly string[]> {
    const found =
      family === 0 ? await this.#findBoth(name) : [await this.#question({ name, type: recordType(family) })]
    // IPv4 first: that IPv6 is announced and leads nowhere is the commoner fault, and costs a stagger.
    const addresses = interleave(found.map((each) => each.addresses))
    if (addresses.length > 0) return addresses
    // "There is none" is less to go by than "nobody answered".
    const [failure] = found
      .map((each) => each.failure)
      .sort((a, b) => Number(a instanceof NoAddress) - Number(b instanceof NoAddress))
    throw new DialError('unresolved', `cannot resolve ${name}: ${failure?.message ?? 'no answer'}`, {
      cause: failure,
    })
  }

  close(): void {
    this.#server.transport.close()
    this.#server.large?.close()
  }

  /** What is there when both have answered, or one has addresses and the other one had its grace. */
  async #findBoth(name: string): Promise<readonly Found[]> {
    const found: (Found | null)[] = [null, null]
    const asked = (['A', 'AAAA'] as const).map(async (type, at) => {
      found[at] = await this.#question({ name, type })
      return found[at]
    })
    const all = Promise.all(asked)
    const first = await Promise.race(asked)
    if (first.failure !== null) return all
    if (found.includes(null)) await Promise.race([all, expire(this.#graceMs, all)])
    return found.filter((each) => each !== null)
  }

  async #question(question: Question): Promise<Found> {
    const key = `${question.type} ${question.name}`
    return this.#cache.peek(key) ?? this.#cache.find(key, (signal) => this.#ask(question, signal))
  }

  async #ask(question: Question, signal: AbortSignal): Promise<Found> {
    const { transport, large, label } = this.#server
    let answer = await this.#query(transport, question, signal)
    if (answer.kind === 'truncated' && large !== null) answer = await this.#query(large, question, signal)
    switch (answer.kind) {
      case 'addresses':
        return { addresses: answer.addresses, failure: null, ttlMs: answer.ttlMs }
      case 'none':
        return { addresses: [], failure: new NoAddress(answer.exists), ttlMs: answer.ttlMs }
      case 'truncated':
        throw new Error(`${label}: the answer is incomplete`)
      case 'failed':
        throw new Error(`${label} answered ${answer.rcode}`)
    }
  }

  async #query(transport: DnsTransport, question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    // The answer may come in the moment the time is up: each query is counted once.
    let isCounted = false
    const count = (outcome: QueryOutcome): void => {
      if (!isCounted) this.#counter.countQuery(transport.name, outcome)
      isCounted = true
    }
    const onAbort = (): void => count('timeout')
    signal.addEventListener('abort', onAbort)
    try {
      const answer = await transport.ask(question, signal)
      count(OUTCOMES[answer.kind])
      return answer
    } catch (cause) {
      count('failed')
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${this.#server.label}: ${reason}`, { cause })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
}

const OUTCOMES: Readonly<Record<DnsAnswer['kind'], QueryOutcome>> = {
  addresses: 'ok',
  none: 'no-address',
  truncated: 'truncated',
  failed: 'failed',
}

/** The server has answered, and the answer is no. */
class NoAddress extends Error {
  constructor(exists: boolean) {
    super(exists ? 'the name has no address' : 'there is no such name')
    this.name = 'NoAddress'
  }
}

function recordType(family: 4 | 6): RecordType {
  return family === 4 ? 'A' : 'AAAA'
}

/** Waits no longer than for `done`, so that no timer is left behind. */
function expire(ms: number, done: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void done.then(() => clearTimeout(timer))
  })
}

/** The first of each, then the second of each. */
function interleave(lists: readonly (readonly string[])[]): readonly string[] {
  const longest = Math.max(...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list.slice(at, at + 1))).flat()
}
