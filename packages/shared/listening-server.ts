import { createServer, type Server } from 'node:net'
import type { Logger } from 'pino'
import { formatHostPort, type HostPort } from './dc.ts'

/** Out of descriptors, every accept fails: one line a second tells as much as thousands. */
const ACCEPT_ERROR_LOG_INTERVAL_MS = 1000

/** A server for clients: their sockets come paused, so that nothing is read before somebody wants it. */
export function createListeningServer(): Server {
  return createServer({
    pauseOnConnect: true,
    allowHalfOpen: true,
    noDelay: true,
  })
}

export interface AcceptErrorEvents {
  readonly onAcceptError: () => void
  readonly log: Logger
}

/** From here on errors are those of accepting, and none of them ends it (decision W15). */
export function keepAccepting(server: Server, address: HostPort, events: AcceptErrorEvents): void {
  let lastLoggedMs = -Infinity
  server.on('error', (error) => {
    events.onAcceptError()
    const nowMs = performance.now()
    if (nowMs - lastLoggedMs < ACCEPT_ERROR_LOG_INTERVAL_MS) return
    lastLoggedMs = nowMs
    events.log.warn({ bind: formatHostPort(address), error: error.message }, 'cannot accept a connection')
  })
}

/**
 * `[::]` takes IPv4 clients too, and so does not go together with `0.0.0.0` of the same port. An operator who names
 * both means one socket for each family.
 */
export function isIpv6Only({ host, port }: HostPort, all: readonly HostPort[]): boolean {
  return host === '::' && port !== 0 && all.some((other) => other.host === '0.0.0.0' && other.port === port)
}
