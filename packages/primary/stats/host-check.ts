import { isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { isLoopback } from '#primary/config/address'
import type { HttpAddress } from '#shared/config'

/** 421 Misdirected Request (RFC 9110 §15.5.20): this name is not served here. */
const MISDIRECTED = 421
/** Whoever asks chooses the name: so many are told of, the others are refused in silence. */
const MAX_NAMES_LOGGED = 20
/** A name of DNS with a port; what is longer is none, and a header may have eight kilobytes. */
const SHOWN_NAME_LENGTH = 260
/** Stands in `api-allowed-hosts` for every name. */
const EVERY_NAME = '*'
/** The header with a port behind: a name, an IPv4 address, or an IPv6 address in brackets. */
const HOST_HEADER = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::\d{0,5})?$/

/**
 * Whether a request may have been sent here on purpose. A site that an operator visits can make its own name point to
 * 127.0.0.1 and have the browser read the API for it ("DNS rebinding"); the browser then sends that name as Host. Nobody
 * can do so with an address, with localhost, or with a name without a dot, which no public name server knows.
 */
export function isExpectedHost(header: string | undefined, allowed: readonly string[]): boolean {
  if (allowed.includes(EVERY_NAME)) return true
  if (header === undefined || header === '') return true // no browser leaves it out
  const [, bracketed, plain = ''] = HOST_HEADER.exec(header) ?? []
  if (bracketed !== undefined) return isIP(bracketed) === 6
  const name = plain.toLowerCase().replace(/\.$/, '')
  if (name === '' || /[^a-z0-9._-]/.test(name)) return false
  return !name.includes('.') || isIP(name) === 4 || name.endsWith('.localhost') || allowed.includes(name)
}

export interface HostCheckOptions {
  readonly address: HttpAddress
  /** `api-allowed-hosts` as it is now. */
  readonly allowed: () => readonly string[]
  /**
   * Scrapers find their targets by name, and a name on a network of others is not suspicious; on loopback it is.
   */
  readonly onLoopbackOnly?: boolean
  readonly log: Logger
}

/** Refuse requests for names that are not ours, on every path. To be called before routes are added. */
export function refuseForeignHosts(server: FastifyInstance, options: HostCheckOptions): void {
  const { address, allowed, onLoopbackOnly = false, log } = options
  // No browser can reach a UNIX socket.
  if ('path' in address || (onLoopbackOnly && !isLoopback(address.host))) return
  const logged = new Set<string>()
  server.addHook('onRequest', (request, reply, done) => {
    const { host } = request.headers
    if (isExpectedHost(host, allowed())) return done()
    if (host !== undefined && !logged.has(host) && logged.size < MAX_NAMES_LOGGED) {
      logged.add(host)
      log.warn(
        { host: host.slice(0, SHOWN_NAME_LENGTH) },
        'refused an HTTP request for this host name: if it is right, add it to api-allowed-hosts',
      )
    }
    void reply.code(MISDIRECTED).type('text/plain').send('421 this name is not in api-allowed-hosts\n')
  })
}
