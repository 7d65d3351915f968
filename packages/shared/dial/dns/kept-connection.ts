import type { DnsAnswer, Question } from './message.ts'
import { cancelled, type DnsTransport, type TransportName } from './transport.ts'

/** A connection that answers questions. */
export interface DnsConnection {
  /** It takes questions. */
  readonly isOpen: boolean
  ask(question: Question, signal: AbortSignal): Promise<DnsAnswer>
  /** Take no more questions, close after the last answer. */
  retire(): void
}

/** To reach the server, TLS included, whoever waits for it. */
const OPEN_TIMEOUT_MS = 5000

/** A transport whose questions share one connection, which is opened when there is one to ask. */
export class KeptConnection implements DnsTransport {
  readonly name: TransportName
  readonly #open: (signal: AbortSignal) => Promise<DnsConnection>
  #current: DnsConnection | null
  #opening: Promise<DnsConnection> | null
  #isClosed: boolean

  constructor(name: TransportName, open: (signal: AbortSignal) => Promise<DnsConnection>) {
    this.name = name
    this.#open = open
    this.#current = null
    this.#opening = null
    this.#isClosed = false
  }

  async ask(question: Question, signal: AbortSignal): Promise<DnsAnswer> {
    const used = this.#current?.isOpen === true ? this.#current : null
    if (used !== null) {
      try {
        return await used.ask(question, signal)
      } catch (error) {
        // It may be dead without a word: the next question shall not wait for it too.
        if (this.#current === used) this.#current = null
        used.retire()
        if (signal.aborted) throw error
        // The server closed it in the moment we asked (RFC 7766 §6.2.1): once more on a new one.
      }
    }
    const fresh = await this.#connect(signal)
    try {
      return await fresh.ask(question, signal)
    } catch (error) {
      if (this.#current === fresh) this.#current = null
      fresh.retire()
      throw error
    } finally {
      // Opened for those who had asked before `close`.
      if (this.#isClosed) fresh.retire()
    }
  }

  close(): void {
    this.#isClosed = true
    this.#current?.retire()
    this.#current = null
  }

  /** Everybody waits for the same attempt, each until its own signal. */
  async #connect(signal: AbortSignal): Promise<DnsConnection> {
    if (this.#current?.isOpen === true) return this.#current
    this.#opening ??= this.#openOne().finally(() => (this.#opening = null))
    const { promise, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(cancelled())
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    try {
      return await Promise.race([this.#opening, promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #openOne(): Promise<DnsConnection> {
    const connection = await withinOpenTimeout(this.#open)
    if (!this.#isClosed) this.#current = connection
    return connection
  }
}

/** Whoever opens connections is told to stop after `OPEN_TIMEOUT_MS`. */
export async function withinOpenTimeout<T>(open: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), OPEN_TIMEOUT_MS)
  try {
    return await open(limit.signal)
  } catch (error) {
    if (!limit.signal.aborted) throw error
    throw new Error(`no connection within ${OPEN_TIMEOUT_MS} ms`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
