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
  const { addresses, signal, format = formatHostPort, staggerMs = () => STAGGER_MS } = options
  if (addresses.length === 0) return Promise.reject(new DialError('no-addresses', 'no addresses to call'))
  if (signal.aborted) return Promise.reject(aborted())

  return new Promise((resolve, reject) => {
    const attempts = new AbortController()
    let next = 0
    const pending = new Set<A>()
    /** Those that had their stagger's time and said nothing. */
    const silent = new Set<A>()
    let settled = false
    let stagger: NodeJS.Timeout | undefined

    const settle = (): void => {
      settled = true
      clearTimeout(stagger)
      signal.removeEventListener('abort', onAbort)
      attempts.abort(SETTLED)
    }
    const onAbort = (): void => {
      settle()
      reject(aborted())
    }
    const startNext = (): void => {
      clearTimeout(stagger)
      const address = addresses[next]
      if (address === undefined) return
      next += 1
      pending.add(address)
      const startAnother = (): void => {
        silent.add(address)
        startNext()
      }
      if (next < addresses.length) stagger = setTimeout(startAnother, staggerMs(address))
      dialOne(address, options, attempts.signal, format).then(
        (connection) => {
          if (settled) return options.discard(connection)
          settle()
          const before = addresses.slice(0, addresses.indexOf(address))
          for (const passed of before) {
            if (silent.has(passed))
              options.onFailure?.(passed, noAnswer(format(passed), staggerMs(passed)), address)
          }
          resolve({ connection, address })
        },
        (error: unknown) => {
          if (settled) return
          pending.delete(address)
          silent.delete(address)
          const failure = toDialError(error, format(address))
          options.onFailure?.(address, failure, null)
          if (next < addresses.length) return startNext()
          if (pending.size > 0) return
          settle()
          reject(failure)
        },
      )
    }
    signal.addEventListener('abort', onAbort)
    startNext()
  })
}

async function dialOne<T, A extends HostPort>(
  address: A,
  { connect, timeoutMs }: DialOptions<T, A>,
  attempts: AbortSignal,
  format: (address: A) => string,
): Promise<T> {
  const own = new AbortController()
  const cancel = (): void => own.abort(SETTLED)
  attempts.addEventListener('abort', cancel)
  const timer = setTimeout(() => own.abort(TIMED_OUT), timeoutMs)
  try {
    return await connect(address, own.signal)
  } catch (error) {
    if (own.signal.reason === TIMED_OUT) {
      const message = `${format(address)}: timed out after ${timeoutMs} ms`
      throw new DialError('timeout', message, { cause: error })
    }
    throw error
  } finally {
    clearTimeout(timer)
    attempts.removeEventListener('abort', cancel)
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
