import { formatHostPort, type HostPort } from '#shared/dc'
import { DialError, type DialCode } from '#shared/errors'

/** The next address is started when the one before has not answered for this long (decision W10). */
export const STAGGER_MS = 250

/** Why attempts are cancelled; one for all, since without a reason every abort makes an error with a stack. */
const SETTLED = new DialError('aborted', 'the dial is over')
/** The reason of an attempt's signal when its own time is up. */
export const TIMED_OUT: DialError = new DialError('timeout', 'timed out')

/** `A` is an address, perhaps with the way there. */
export interface DialOptions<T, A extends HostPort = HostPort> {
  /** In the order to try. */
  readonly addresses: readonly A[]
  /** For one address. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Open one connection; rejects when it fails, and closes what it began when `signal` fires. */
  readonly connect: (address: A, signal: AbortSignal) => Promise<T>
  /** An answer that came second. */
  readonly discard: (connection: T) => void
  /** Also called, with `winner`, for an address that was still silent when a later one answered. */
  readonly onFailure?: (address: A, error: DialError, winner: A | null) => void
  /** How an address is called in errors. */
  readonly format?: (address: A) => string
  /** How long the next address waits for this one; `STAGGER_MS` for all when absent. */
  readonly staggerMs?: (address: A) => number
}

export interface Dialled<T, A extends HostPort = HostPort> {
  readonly connection: T
  readonly address: A
}

/**
 * Dial several addresses, the next one started when one fails or after its stagger without an answer; the first to
 * answer wins and the rest is cancelled.
 * @throws DialError of the last failure; `no-addresses`; `aborted` when the signal fires
 */
export function dialFirst<T, A extends HostPort = HostPort>(
  options: DialOptions<T, A>,
): Promise<Dialled<T, A>> {
  const { addresses, signal } = options
  if (addresses.length === 0) return Promise.reject(new DialError('no-addresses', 'no addresses to call'))
  if (signal.aborted) return Promise.reject(aborted())
  return new Promise((resolve, reject) => new Dial(options, resolve, reject).start())
}

/** One address that was called and has neither answered nor failed. */
interface Attempt<A> {
  readonly address: A
  /** Its only signal: most dials are one attempt, and every signal and listener is a microsecond. */
  readonly own: AbortController
  readonly timer: NodeJS.Timeout
  /** It had its stagger's time and said nothing. */
  isSilent: boolean
}

class Dial<T, A extends HostPort> {
  readonly #options: DialOptions<T, A>
  readonly #resolve: (dialled: Dialled<T, A>) => void
  readonly #reject: (error: DialError) => void
  /** In the order in which they began. */
  readonly #pending: Set<Attempt<A>>
  readonly #onAbort: () => void
  #next: number
  #stagger: NodeJS.Timeout | undefined
  #isSettled: boolean

  constructor(
    options: DialOptions<T, A>,
    resolve: (dialled: Dialled<T, A>) => void,
    reject: (error: DialError) => void,
  ) {
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    this.#pending = new Set()
    this.#onAbort = () => {
      this.#settle()
      reject(aborted())
    }
    this.#next = 0
    this.#stagger = undefined
    this.#isSettled = false
  }

  start(): void {
    this.#options.signal.addEventListener('abort', this.#onAbort)
    this.#startNext()
  }

  #startNext(): void {
    clearTimeout(this.#stagger)
    const { addresses, connect, timeoutMs } = this.#options
    const address = addresses[this.#next]
    if (address === undefined) return
    this.#next += 1
    const own = new AbortController()
    const timer = setTimeout(() => own.abort(TIMED_OUT), timeoutMs)
    const attempt: Attempt<A> = { address, own, timer, isSilent: false }
    this.#pending.add(attempt)
    if (this.#next < addresses.length) {
      this.#stagger = setTimeout(() => {
        attempt.isSilent = true
        this.#startNext()
      }, this.#staggerMs(address))
    }
    Promise.try(connect, address, own.signal).then(
      (connection) => this.#answered(attempt, connection),
      (error: unknown) => this.#failed(attempt, error),
    )
  }

  #answered(winner: Attempt<A>, connection: T): void {
    const { onFailure, discard } = this.#options
    if (this.#isSettled) return discard(connection)
    const { address } = winner
    for (const passed of this.#pending) {
      if (passed === winner) break
      if (passed.isSilent)
        onFailure?.(
          passed.address,
          noAnswer(this.#format(passed.address), this.#staggerMs(passed.address)),
          address,
        )
    }
    clearTimeout(winner.timer)
    this.#pending.delete(winner)
    this.#settle()
    this.#resolve({ connection, address })
  }

  #failed(attempt: Attempt<A>, error: unknown): void {
    if (this.#isSettled) return
    clearTimeout(attempt.timer)
    this.#pending.delete(attempt)
    const failure = this.#explain(attempt, error)
    this.#options.onFailure?.(attempt.address, failure, null)
    if (this.#next < this.#options.addresses.length) return this.#startNext()
    if (this.#pending.size > 0) return
    this.#settle()
    this.#reject(failure)
  }

  #explain({ address, own }: Attempt<A>, error: unknown): DialError {
    const name = this.#format(address)
    if (own.signal.reason !== TIMED_OUT) return toDialError(error, name)
    return new DialError('timeout', `${name}: timed out after ${this.#options.timeoutMs} ms`, {
      cause: error,
    })
  }

  /** Nobody is waited for any more. */
  #settle(): void {
    this.#isSettled = true
    clearTimeout(this.#stagger)
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    for (const { timer, own } of this.#pending) {
      clearTimeout(timer)
      own.abort(SETTLED)
    }
    this.#pending.clear()
  }

  #format(address: A): string {
    return (this.#options.format ?? formatHostPort)(address)
  }

  #staggerMs(address: A): number {
    return this.#options.staggerMs?.(address) ?? STAGGER_MS
  }
}

function noAnswer(name: string, waitedMs: number): DialError {
  return new DialError('timeout', `${name}: no answer within ${waitedMs} ms`)
}

const CODES: Readonly<Record<string, DialCode>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'timeout',
  ENOTFOUND: 'unresolved',
  EAI_AGAIN: 'unresolved',
  // Our own shortage, and no fault of any address.
  EMFILE: 'no-descriptors',
  ENFILE: 'no-descriptors',
}

/** What a system error of a connect means. `name` begins the message. */
export function toDialError(error: unknown, name: string): DialError {
  if (error instanceof DialError) return error
  const system = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = error instanceof Error ? error.message : String(error)
  return new DialError(CODES[system] ?? 'failed', `${name}: ${reason}`, { cause: error })
}

function aborted(): DialError {
  return new DialError('aborted', 'the client left before the dial was answered')
}
