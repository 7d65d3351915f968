/** The stats API: `GET /stats`, byte for byte what the reference documents (operator.md §6, decision O2), and health. */
import type { HttpAddress } from '#shared/config'

import { createHttpServer, listenHttp, serveReadOnly, type RunningHttpServer } from './http-server.ts'
import { formatStats, type StatsSnapshot } from './stats-json.ts'

export interface StatsApiOptions {
  /** Port 0 takes any free one. */
  readonly address: HttpAddress
  readonly snapshot: () => StatsSnapshot
  /** Whether new connections would be served now. */
  readonly ready: () => boolean
  /** An error in one of the functions above: the client gets status 500. */
  readonly onError?: (error: unknown) => void
}

/** Throws an OperatorError `cannot start stats API on …` when the address cannot be had. */
export function startStatsApi(options: StatsApiOptions): Promise<RunningHttpServer> {
  const server = createHttpServer(options.onError ?? (() => {}))

  serveReadOnly(server, '/stats', (_request, reply) => {
    const body = formatStats(options.snapshot(), Date.now())
    // Bytes, because Fastify adds a charset to the type of a string, and the documented type has none.
    return reply
      .header('Cache-Control', 'no-store')
      .header('Content-Type', 'application/json')
      .send(Buffer.from(body))
  })
  serveReadOnly(server, '/health/live', (_request, reply) => reply.type('text/plain').send('ok\n'))
  serveReadOnly(server, '/health/ready', (_request, reply) => {
    const ready = options.ready()
    return reply
      .code(ready ? 200 : 503)
      .type('text/plain')
      .send(ready ? 'ok\n' : 'not ready\n')
  })

  return listenHttp(server, options.address, 'stats API')
}
