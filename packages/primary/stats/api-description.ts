import fastifySwagger from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'

import { UPSTREAMS_PATH, UPSTREAMS_SCHEMA } from './upstreams-route.ts'

/** Where the API describes itself, behind the prefix. */
export const DESCRIPTION_PATH = '/v1/openapi.json'

const COUNT = { type: 'integer', minimum: 0 } as const
const TIME = { type: 'string', format: 'date-time', description: 'UTC, whole seconds.' } as const
const TEXT = { 'text/plain': { schema: { type: 'string' } } } as const

const USER = {
  type: 'object',
  required: ['connections', 'bytes_in', 'bytes_out', 'last_seen'],
  properties: {
    connections: { ...COUNT, description: 'Open now.' },
    bytes_in: { ...COUNT, description: 'From the client, without the framing of TLS.' },
    bytes_out: { ...COUNT, description: 'To the client, without the framing of TLS.' },
    last_seen: { ...TIME, type: ['string', 'null'], description: 'Last activity; null for never.' },
  },
} as const

const THROTTLE = {
  type: 'object',
  description: 'Absent while the throttle is off.',
  required: ['active', 'limit'],
  properties: {
    active: { type: 'boolean' },
    limit: { ...COUNT, description: 'Connections of all users together.' },
    caps: {
      type: 'object',
      additionalProperties: COUNT,
      description: 'By user. Absent when there are none.',
    },
  },
} as const

/** By the path of each route that is described. What is not here stays out of the description. */
export const ROUTE_SCHEMAS = {
  '/stats': {
    tags: ['stats'],
    summary: 'Connections and bytes of every user',
    response: {
      200: {
        description: 'One line of JSON, users sorted by name.',
        content: {
          'application/json': {
            schema: {
              type: 'object',
              required: ['started_at', 'uptime_seconds', 'total_connections', 'users'],
              properties: {
                started_at: TIME,
                uptime_seconds: COUNT,
                total_connections: COUNT,
                throttle: THROTTLE,
                users: { type: 'object', additionalProperties: USER },
              },
            },
          },
        },
      },
    },
  },
  '/health/live': {
    tags: ['health'],
    summary: 'Whether the process lives',
    response: { 200: { description: 'It does.', content: TEXT } },
  },
  '/health/ready': {
    tags: ['health'],
    summary: 'Whether new connections are served',
    response: {
      200: { description: 'They are.', content: TEXT },
      503: { description: 'It starts, drains, or replaces a worker thread.', content: TEXT },
    },
  },
  [UPSTREAMS_PATH]: UPSTREAMS_SCHEMA,
  [DESCRIPTION_PATH]: {
    tags: ['description'],
    summary: 'This description',
    response: {
      200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } },
    },
  },
} as const satisfies Record<string, FastifySchema>

/**
 * Collect the routes that are added from now on and have a tag; `server.swagger()` describes them.
 * @param pathPrefix what a client has to put in front of every path, or ''
 */
export async function describeRoutes(
  server: FastifyInstance,
  pathPrefix: string,
  version: string,
): Promise<void> {
  await server.register(fastifySwagger, {
    hideUntagged: true,
    openapi: {
      openapi: '3.1.0',
      info: { title: 'mtg-multi', description: 'What an MTProto proxy knows of itself.', version },
      servers: [{ url: pathPrefix === '' ? '/' : pathPrefix }],
    },
  })
}
