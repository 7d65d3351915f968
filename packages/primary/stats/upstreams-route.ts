import type { RouteHandlerMethod } from 'fastify'
import type { UpstreamSnapshot } from '#shared/dial/upstream-state'

export const UPSTREAMS_PATH = '/v1/upstreams'

const COUNT = { type: 'integer', minimum: 0 } as const

const UPSTREAM = {
  type: 'object',
  required: ['upstream', 'state', 'failures_in_a_row', 'retry_in_ms', 'dials', 'failed_dials'],
  properties: {
    upstream: { type: 'string', description: 'host:port, or "direct"; never a credential.' },
    state: { type: 'string', enum: ['closed', 'half-open', 'open'] },
    failures_in_a_row: COUNT,
    retry_in_ms: { ...COUNT, description: 'Until it is tried again; 0 unless open.' },
    dials: COUNT,
    failed_dials: { ...COUNT, description: 'By its own fault, not by that of the target.' },
  },
} as const

/** For the description of the API. */
export const UPSTREAMS_SCHEMA = {
  tags: ['upstreams'],
  summary: 'The ways to Telegram and their circuit breakers',
  response: {
    200: {
      description: 'In the order of the configuration; empty when it names none.',
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['upstreams'],
            properties: { upstreams: { type: 'array', items: UPSTREAM } },
          },
        },
      },
    },
  },
} as const

/** Answers `GET /v1/upstreams`. */
export function answerUpstreams(list: () => readonly UpstreamSnapshot[]): RouteHandlerMethod {
  return (_request, reply) => {
    const upstreams = list().map((upstream) => ({
      upstream: upstream.upstream,
      state: upstream.state,
      failures_in_a_row: upstream.failures,
      retry_in_ms: upstream.retryInMs,
      dials: upstream.dials,
      failed_dials: upstream.failedDials,
    }))
    return reply
      .header('Content-Type', 'application/json')
      .send(Buffer.from(`${JSON.stringify({ upstreams })}\n`))
  }
}
