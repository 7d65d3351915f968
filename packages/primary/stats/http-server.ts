/** What the HTTP servers for operators have in common: limits, methods, addresses, errors. */
import { once } from 'node:events'
import { unlink } from 'node:fs/promises'
import { METHODS } from 'node:http'
import { Server as NetServer } from 'node:net'

import fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifySchema,
  type RouteHandlerMethod,
} from 'fastify'
import { formatHttpAddress } from '#primary/config/address'
import type { HttpAddress } from '#shared/config'
import type { HostPort } from '#shared/dc'
import { OperatorError } from '#shared/errors'

import { describeSystemError } from '#primary/bind-error'
import { descriptorOf } from '#primary/descriptor-of'
import { listenOnPath, removeStaleSocket } from '#primary/unix-socket'

/** Scrapers, a panel, a health check and somebody at a terminal; more is somebody's mistake. */
const MAX_CONNECTIONS = 64
/** No request here needs more than a token and a few usual headers. */
const MAX_HEADER_BYTES = 8 * 1024
/** A request has no body worth waiting for: whoever needs longer is holding on to the connection. */
const REQUEST_TIMEOUT_MS = 5_000
/** Longer than the usual scrape interval of 15 s, so that a scraper keeps its connection. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000
/** Node looks for overdue requests this often. */
const CHECK_INTERVAL_MS = 1_000
/** Numbers of a moment ago are wrong numbers, and so is an error of a moment ago. */
const NOT_STORED = ['Cache-Control', 'no-store'] as const

export interface RunningHttpServer {
  /** Where it listens, with the real port. A UNIX socket has no port: its path, and 0. */
  readonly address: HostPort
  /** The same for people: `127.0.0.1:9090`, `unix:/run/mtg.sock`. */
  readonly bind: string
  /** What it listens on, for a successor to go on with; null when there is nothing to hand over. */
  readonly fd: number | null
  /** A successor answers there from now on: who asks something now gets it, and nobody new is taken. */
  retire(): void
  /** Ends at once: open connections are closed. */
  close(): Promise<void>
}

/**
 * @param onError is told of errors in handlers: these are ours, the client learns only that there was one
 * @param pathPrefix every path is reachable behind it as well as without; begins with a slash and ends without, or ''
 */
export function createHttpServer(onError: (error: unknown) => void, pathPrefix = ''): FastifyInstance {
  const server = fastify({
    rewriteUrl: ({ url = '/' }) => (url.startsWith(`${pathPrefix}/`) ? url.slice(pathPrefix.length) : url),
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: true,
    // A path that is no path: Fastify would answer by itself, in its own words and past every hook.
    frameworkErrors: (_error, _request, reply) => void refuse(reply.header(...NOT_STORED)),
  })
  server.server.maxConnections = MAX_CONNECTIONS
  // Every method Node can parse, so that a known path answers each of them, with 405 if need be.
  for (const method of METHODS) if (!server.supportedMethods.includes(method)) server.addHttpMethod(method)
  // Bodies are not read: without this a content type unknown to Fastify would turn a 405 into a 415.
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', (_request, _payload, done) => done(null))
  server.addHook('onRequest', (request, reply, done) => {
    // One that is no media type at all would be refused before anybody says that the method is.
    delete request.headers['content-type']
    void reply.header(...NOT_STORED)
    done()
  })
  server.setNotFoundHandler((_request, reply) =>
    reply.code(404).type('text/plain').send('404 page not found\n'),
  )
  server.setErrorHandler((error, _request, reply) => {
    const statusCode = (error as { statusCode?: number }).statusCode ?? 500 // Fastify's own errors have one
    if (statusCode < 500) return refuse(reply, statusCode)
    onError(error)
    return reply.code(statusCode).type('text/plain').send('internal error\n')
  })
  return server
}

function refuse(reply: FastifyReply, statusCode = 400): FastifyReply {
  return reply.code(statusCode).type('text/plain').send('bad request\n')
}

/** Answer GET and HEAD on a path by `handler`, every other method by 405 (decision O2). `schema` describes the answer. */
export function serveReadOnly(
  server: FastifyInstance,
  path: string,
  handler: RouteHandlerMethod,
  schema: FastifySchema = {},
): void {
  server.get(path, { schema, handler })
  server.route({
    method: server.supportedMethods.filter((method) => method !== 'GET' && method !== 'HEAD'),
    url: path,
    handler: (_request, reply) =>
      reply.code(405).header('Allow', 'GET, HEAD').type('text/plain').send('405 method not allowed\n'),
  })
}

/**
 * Listen. `what` names the server in the error: throws an OperatorError `cannot start <what> on <address>: <reason>`.
 * @param handed descriptor that the process before us listens on at this address
 */
export async function listenHttp(
  server: FastifyInstance,
  address: HttpAddress,
  what: string,
  handed: number | null = null,
): Promise<RunningHttpServer> {
  let isRetired = false
  server.addHook('onSend', (_request, reply, payload, done) => {
    if (isRetired) void reply.header('Connection', 'close')
    done(null, payload)
  })
  try {
    if (handed !== null) {
      await server.ready()
      server.server.listen({ fd: handed })
      await once(server.server, 'listening')
    } else if ('path' in address) {
      await server.ready()
      await removeStaleSocket(address.path)
      await listenOnPath(server.server, address.path)
    } else await server.listen({ host: address.host, port: address.port })
  } catch (cause) {
    await server.close()
    throw new OperatorError(
      `cannot start ${what} on ${formatHttpAddress(address)}: ${describeSystemError(cause)}`,
      {
        cause,
      },
    )
  }
  const bound = server.server.address()
  const real =
    'path' in address
      ? { host: address.path, port: 0 }
      : { host: address.host, port: typeof bound === 'object' && bound !== null ? bound.port : address.port }
  return {
    address: real,
    bind: formatHttpAddress('path' in address ? address : real),
    get fd() {
      return isRetired ? null : descriptorOf(server.server)
    },
    retire: () => {
      isRetired = true
      // Not that of HTTP servers: it would close connections whose request is on its way.
      NetServer.prototype.close.call(server.server)
    },
    close: async () => {
      await server.close()
      // The path is the successor's, if there is one.
      if ('path' in address && !isRetired) await unlink(address.path).catch(() => {})
    },
  }
}
