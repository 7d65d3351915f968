import { formatHostPort, type HostPort } from '#shared/dc'
import { DialError, type DialCode } from '#shared/errors'

/** The next address is started when the one before has not answered for this long (decision W10). */
export const STAGGER_MS = 250

/** Why attempts are cancelled; one for all, since without a reason every abort makes an error with a stack. */
const SETTLED = new DialError('aborted', 'the dial is over')

export interface DialOptions<T> {
  /** In the order to try. */
  readonly addresses: readonly HostPort[]
  /** For one address. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** Open one connection; rejects when it fails, and closes what it began when `signal` fires. */
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<T>
  /** An answer that came second. */
  readonly discard: (connection: T) => void
  /** Also called for an address that was still silent when a later one answered. */
  readonly onFailure?: (address: HostPort, error: DialError) => void
}

export interface Dialled<T> {
  readonly connection: T
  readonly address: HostPort
}

/**
 * Dial several addresses, the next one started when one fails or after `STAGGER_MS` without an answer; the first to
 * answer wins and the rest is cancelled.
 * @throws DialError of the last failure; `no-addresses`; `aborted` when the signal fires
 */
export function dialFirst<T>(options: DialOptions<T>): Promise<Dialled<T>> {
  const { addresses, signal } = options
  if (addresses.length === 0) return Promise.reject(new DialError('no-addresses', 'no addresses to call'))
  if (signal.aborted) return Promise.reject(aborted())

  return new Promise((resolve, reject) => {
    const attempts = new AbortController()
    let next = 0
    const pending = new Set<HostPort>()
    /** Those that had their stagger's time and said nothing. */
    const silent = new Set<HostPort>()
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
      if (next < addresses.length) stagger = setTimeout(startAnother, STAGGER_MS)
      dialOne(address, options, attempts.signal).then(
        (connection) => {
          if (settled) return options.discard(connection)
          settle()
          const before = addresses.slice(0, addresses.indexOf(address))
          for (const passed of before) {
            if (silent.has(passed)) options.onFailure?.(passed, noAnswer(passed))
          }
          resolve({ connection, address })
        },
        (error: unknown) => {
          if (settled) return
          pending.delete(address)
          silent.delete(address)
          const failure = toDialError(error, address)
          options.onFailure?.(address, failure)
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

async function dialOne<T>(address: HostPort, options: DialOptions<T>, attempts: AbortSignal): Promise<T> {
  const own = new AbortController()
  const cancel = (): void => own.abort(SETTLED)
  attempts.addEventListener('abort', cancel)
  const timer = setTimeout(cancel, options.timeoutMs)
  try {
    return await options.connect(address, own.signal)
  } catch (error) {
    if (own.signal.aborted && !attempts.aborted) {
      const message = `${formatHostPort(address)}: timed out after ${options.timeoutMs} ms`
      throw new DialError('timeout', message, { cause: error })
    }
    throw error
  } finally {
    clearTimeout(timer)
    attempts.removeEventListener('abort', cancel)
  }
}

function noAnswer(address: HostPort): DialError {
  return new DialError('timeout', `${formatHostPort(address)}: no answer within ${STAGGER_MS} ms`)
}

const CODES: Readonly<Record<string, DialCode>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'timeout',
  ENOTFOUND: 'unresolved',
  EAI_AGAIN: 'unresolved',
}

function toDialError(error: unknown, address: HostPort): DialError {
  if (error instanceof DialError) return error
  const system = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = error instanceof Error ? error.message : String(error)
  return new DialError(CODES[system] ?? 'failed', `${formatHostPort(address)}: ${reason}`, { cause: error })
}

function aborted(): DialError {
  return new DialError('aborted', 'the client left before the dial was answered')
}
