/** The stats API: `GET /stats`, byte for byte what the reference documents (operator.md §6, decision O2), and health. */
import type { RouteHandlerMethod } from 'fastify'
import type { HttpAddress } from '#shared/config'
import { sharedNowMs } from '#shared/hand-off'
import type { UpstreamSnapshot } from '#shared/dial/upstream-state'

import { DESCRIPTION_PATH, describeRoutes, ROUTE_SCHEMAS } from './api-description.ts'
import { type HostCheckOptions, refuseForeignHosts } from './host-check.ts'
import { createHttpServer, listenHttp, serveReadOnly, type RunningHttpServer } from './http-server.ts'
import { formatStats, type StatsSnapshot } from './stats-json.ts'
import { answerUpstreams, UPSTREAMS_PATH } from './upstreams-route.ts'

export interface StatsApiOptions {
  /** Port 0 takes any free one. */
  readonly address: HttpAddress
  /** What the process before us listens on at this address. */
  readonly handed?: number | null
  /** What clients put in front of every path: begins with a slash and ends without, or is empty (the default). */
  readonly pathPrefix?: string
  /** Of the program, for the description. */
  readonly version?: string
  readonly snapshot: () => StatsSnapshot
  /** Whether new connections would be served now. */
  readonly ready: () => boolean
  /** The ways to Telegram. */
  readonly upstreams?: () => readonly UpstreamSnapshot[]
  /** Which names a request may be for; absent in tests of other things: all. */
  readonly hosts?: Pick<HostCheckOptions, 'allowed' | 'log'>
  /** An error in one of the functions above: the client gets status 500. */
  readonly onError?: (error: unknown) => void
}

/** Throws an OperatorError `cannot start stats API on …` when the address cannot be had. */
export async function startStatsApi(options: StatsApiOptions): Promise<RunningHttpServer> {
  const { pathPrefix = '', version = '' } = options
  const server = createHttpServer(options.onError ?? (() => {}), pathPrefix)
  if (options.hosts !== undefined) refuseForeignHosts(server, { address: options.address, ...options.hosts })
  await describeRoutes(server, pathPrefix, version)
  server.addHook('onRequest', (_request, reply, done) => {
    void reply.header('Link', `<${pathPrefix}${DESCRIPTION_PATH}>; rel="service-desc"`) // RFC 8631
    done()
  })
  const serve = (path: keyof typeof ROUTE_SCHEMAS, handler: RouteHandlerMethod): void =>
    serveReadOnly(server, path, handler, ROUTE_SCHEMAS[path])

  serve('/stats', (_request, reply) => {
    const body = formatStats(options.snapshot(), sharedNowMs())
    // Bytes, because Fastify adds a charset to the type of a string, and the documented type has none.
    return reply.header('Content-Type', 'application/json').send(Buffer.from(body))
  })
  serve('/health/live', (_request, reply) => reply.type('text/plain').send('ok\n'))
  serve('/health/ready', (_request, reply) => {
    const ready = options.ready()
    return reply
      .code(ready ? 200 : 503)
      .type('text/plain')
      .send(ready ? 'ok\n' : 'not ready\n')
  })
  serve(UPSTREAMS_PATH, answerUpstreams(options.upstreams ?? (() => [])))
  serve(DESCRIPTION_PATH, (_request, reply) =>
    reply.header('Content-Type', 'application/json').send(Buffer.from(JSON.stringify(server.swagger()))),
  )
  return listenHttp(server, options.address, 'stats API', options.handed)
}
