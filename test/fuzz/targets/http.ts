import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { startStatsApi } from '#primary/stats/stats-api'
import { createLogger } from '#shared/logger'
import { bytes } from '../../support/generators.ts'
import type { Probe, Target } from '../target.ts'

/** What the API may say to anybody; above all no 500. */
const STATUSES = new Set([200, 400, 403, 404, 405, 408, 413, 414, 417, 421, 431, 503, 505])
/** As many answers as an input can ask for, each of them small. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024
const PATHS = [
  '/stats',
  '/health/live',
  '/health/ready',
  '/v1/upstreams',
  '/v1/openapi.json',
  '/pre/stats',
  '/',
  '/%',
  '//',
  '*',
]

const request = (): fc.Arbitrary<Buffer> =>
  fc
    .record({
      method: fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS', 'PROPFIND', 'CONNECT', 'QUERY'),
      path: fc.oneof(fc.constantFrom(...PATHS), fc.webPath()),
      version: fc.constantFrom('1.1', '1.0'),
      host: fc.constantFrom('Host: localhost', 'Host: evil.example', 'Host: 127.0.0.1:1', 'X: y'),
      header: fc.constantFrom(
        'Connection: close',
        'Connection: upgrade\r\nUpgrade: h2c',
        'Expect: 100-continue',
        'Content-Length: 5',
        'Transfer-Encoding: chunked',
        'Content-Type: application/json',
        'Accept: */*',
      ),
      body: bytes(0, 20),
    })
    .map(({ method, path, version, host, header, body }) =>
      Buffer.concat([Buffer.from(`${method} ${path} HTTP/${version}\r\n${host}\r\n${header}\r\n\r\n`), body]),
    )

/** A real server, and a connection for each input. */
async function open(): Promise<Probe> {
  const errors: unknown[] = []
  const api = await startStatsApi({
    address: { host: '127.0.0.1', port: 0 },
    pathPrefix: '/pre',
    snapshot: () => ({
      startedAtMs: 0,
      users: [{ name: 'anna', connections: 1, bytesIn: 2, bytesOut: 3, lastSeenMs: 4 }],
      throttle: null,
    }),
    ready: () => true,
    hosts: {
      allowed: () => ['pre.example'],
      log: createLogger({ level: 'silent', destination: 1, pretty: false }),
    },
    onError: (error) => errors.push(error),
  })
  const exchange = async (input: Buffer): Promise<string> => {
    const socket = connect({ ...api.address, allowHalfOpen: true })
    const chunks: Buffer[] = []
    let size = 0
    socket.on('error', () => {}) // a reset is an answer as well
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
    })
    socket.end(input)
    await once(socket, 'close')
    assert.ok(size <= MAX_ANSWER_BYTES, `${size} bytes of answers`)
    return Buffer.concat(chunks).toString('latin1')
  }
  return {
    run: async (input) => {
      const answer = await exchange(input)
      assert.deepEqual(errors.splice(0), [])
      if (answer !== '') assert.match(answer, /^HTTP\/1\.1 \d{3} /)
      for (const [, status] of answer.matchAll(/^HTTP\/1\.1 (\d{3}) /gm))
        assert.ok(STATUSES.has(Number(status)) || status === '100', answer)
    },
    close: () => api.close(),
  }
}

export const http: Target = {
  name: 'http',
  inputs: fc.array(request(), { minLength: 1, maxLength: 3 }).map((list) => Buffer.concat(list)),
  dictionary: [
    'GET /stats HTTP/1.1\r\n',
    'Host: localhost\r\n',
    'Host: ',
    '\r\n\r\n',
    '%00',
    '%2e%2e/',
    '?',
    '#',
    'Transfer-Encoding: chunked\r\n',
    'Content-Length: ',
    'Expect: 100-continue\r\n',
    'Upgrade: h2c\r\nConnection: upgrade\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'http://a/stats',
    Buffer.of(0),
    '0\r\n\r\n',
  ],
  libraries: ['fastify', 'find-my-way'],
  maxBytes: 20_000,
  limitMs: 3000,
  open,
}
